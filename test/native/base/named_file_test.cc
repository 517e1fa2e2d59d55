#include "base/named_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "support/temp_folder.h"

namespace nodeplane {
namespace {

constexpr size_t kBytes = 100'000;
using Missing = NamedFile::Missing;

class NamedFileTest : public testing::Test {
 protected:
  std::unique_ptr<NamedFile> open(const std::string& name, Missing missing = Missing::kMake) {
    return NamedFile::open(folder.path(name), missing, &error);
  }
  TempFolder folder;
  std::string error;
};

TEST_F(NamedFileTest, IsItsOwnersAloneAndKeepsItsBytes) {
  auto file = open("f");
  ASSERT_NE(file, nullptr) << error;
  EXPECT_EQ(file->size(), 0u);
  ASSERT_TRUE(file->make(kBytes, &error)) << error;
  EXPECT_GE(file->size(), kBytes);
  struct stat s;
  ASSERT_EQ(stat(file->path().c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777, 0600u);
  EXPECT_GE(static_cast<size_t>(s.st_blocks) * 512, kBytes) << "all of it is there";
  for (size_t i = 0; i < file->size(); ++i) ASSERT_EQ(file->base()[i], 0);
  std::memset(file->base(), 7, kBytes);
  file.reset();

  file = open("f", Missing::kLeave);
  ASSERT_NE(file, nullptr) << error;
  ASSERT_TRUE(file->map(&error)) << error;
  EXPECT_EQ(file->base()[kBytes - 1], 7);
  ASSERT_TRUE(file->make(kBytes, &error)) << error;
  EXPECT_EQ(file->base()[kBytes - 1], 0) << "made afresh";
  file->base()[0] = 9;
  file->let_go();
  EXPECT_EQ(file->base()[0], 0) << "may still be looked at";
  EXPECT_NE(open("f"), nullptr) << "the lock is free";
}

TEST_F(NamedFileTest, WhatIsMissingMayBeLeftSo) {
  EXPECT_EQ(open("none", Missing::kLeave), nullptr);
  EXPECT_EQ(error, "");
  EXPECT_NE(access(folder.path("none").c_str(), F_OK), 0);
}

TEST_F(NamedFileTest, OneProcessHoldsIt) {
  const auto first = open("f");
  ASSERT_NE(first, nullptr) << error;
  EXPECT_EQ(open("f"), nullptr);
  EXPECT_EQ(error,
            folder.path("f") + ": in use by another process (" + std::to_string(getpid()) + ")");
}

TEST_F(NamedFileTest, WhatIsNotSafeIsRefused) {
  const auto refused = [&](const std::string& name, const char* why) {
    EXPECT_EQ(open(name), nullptr) << name;
    EXPECT_NE(error.find(why), std::string::npos) << error;
  };
  std::ofstream(folder.path("theirs")) << "precious";
  ASSERT_EQ(chmod(folder.path("theirs").c_str(), 0600), 0);
  ASSERT_EQ(symlink(folder.path("theirs").c_str(), folder.path("link").c_str()), 0);
  refused("link", "symbolic link");
  ASSERT_EQ(link(folder.path("theirs").c_str(), folder.path("hard").c_str()), 0);
  refused("hard", "has another name");
  std::ofstream(folder.path("open")) << "x";
  ASSERT_EQ(chmod(folder.path("open").c_str(), 0640), 0);
  refused("open", "mode must be 0600");
  ASSERT_EQ(mkfifo(folder.path("fifo").c_str(), 0600), 0);
  refused("fifo", "is not a file");
  ASSERT_EQ(chmod(folder.path("").c_str(), 0777), 0);
  refused("f", "may be written to by others");
  ASSERT_EQ(chmod(folder.path("").c_str(), 0700), 0);
  if (geteuid() == 0) {
    std::ofstream(folder.path("other")) << "x";
    ASSERT_EQ(chmod(folder.path("other").c_str(), 0600), 0);
    ASSERT_EQ(chown(folder.path("other").c_str(), 12345, 12345), 0);
    refused("other", "belongs to somebody else");
  }
  std::ifstream kept(folder.path("theirs"));
  std::string text;
  kept >> text;
  EXPECT_EQ(text, "precious");
}

// What does not fit is told at start; memory that is missing later would be a signal.
TEST_F(NamedFileTest, AFullFileSystemIsAnError) {
  if (geteuid() != 0) GTEST_SKIP() << "mounting a small tmpfs takes root";
  const std::string small = folder.path("small");
  ASSERT_EQ(mkdir(small.c_str(), 0700), 0);
  ASSERT_EQ(mount("small", small.c_str(), "tmpfs", 0, "size=1m,mode=0700"), 0);
  {
    auto file = NamedFile::open(small + "/f", Missing::kMake, &error);
    ASSERT_NE(file, nullptr) << error;
    EXPECT_TRUE(file->in_memory());
    EXPECT_FALSE(file->make(4 << 20, &error));
    EXPECT_NE(error.find("No space left on device"), std::string::npos) << error;
    EXPECT_NE(error.find("5 MB are needed"), std::string::npos) << error;
    EXPECT_TRUE(file->make(1 << 19, &error)) << error;
  }
  EXPECT_EQ(umount(small.c_str()), 0);
}

TEST_F(NamedFileTest, TakesAnotherFilesPlaceUnderTheLock) {
  auto old = open("f"), next = open("f.new");
  ASSERT_TRUE(old->make(kBytes, &error) && next->make(kBytes, &error));
  next->base()[0] = 5;
  ASSERT_TRUE(next->move_to(folder.path("f"), &error)) << error;
  old.reset();
  EXPECT_EQ(open("f"), nullptr) << "the new one is locked";
  next.reset();
  next = open("f");
  ASSERT_TRUE(next->map(&error)) << error;
  EXPECT_EQ(next->base()[0], 5);
}

TEST(BootId, IsThisBoots) {
  EXPECT_EQ(boot_id().size(), 32u);
  EXPECT_EQ(boot_id(), boot_id());
}

}  // namespace
}  // namespace nodeplane
