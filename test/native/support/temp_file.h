#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

namespace nodeplane {

// A file that goes with its owner.
class TempFile {
 public:
  explicit TempFile(const std::vector<uint8_t>& bytes = {}) {
    char name[] = "/tmp/nodeplane-test-XXXXXX";
    const int fd = mkstemp(name);
    EXPECT_GE(fd, 0);
    path_ = name;
    EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    close(fd);
  }
  ~TempFile() { unlink(path_.c_str()); }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  const std::string& path() const { return path_; }
  std::vector<uint8_t> read() const {
    std::vector<uint8_t> all;
    FILE* file = std::fopen(path_.c_str(), "rb");
    EXPECT_NE(file, nullptr);
    for (int c; (c = std::fgetc(file)) != EOF;) all.push_back(static_cast<uint8_t>(c));
    std::fclose(file);
    return all;
  }

 private:
  std::string path_;
};

}  // namespace nodeplane
