#include "base/named_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/memory.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif

namespace nodeplane {
namespace {

// Somebody may put another file in its place between open and lock; not for ever.
constexpr uint32_t kOpenTries = 8;
constexpr mode_t kOursAlone = 0600;

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// Nobody else may be able to put another file in ours' place.
bool check_directory(const std::string& path, std::string* error) {
  const std::string directory = directory_of(path);
  mkdir(directory.c_str(), 0700);
  struct stat s;
  const char* wrong = nullptr;
  if (stat(directory.c_str(), &s) != 0 || !S_ISDIR(s.st_mode))
    wrong = " is not a directory";
  else if (s.st_uid != geteuid() && s.st_uid != 0)
    wrong = " belongs to somebody else";
  else if ((s.st_mode & 022) != 0 && (s.st_mode & S_ISVTX) == 0)
    wrong = " may be written to by others";
  if (wrong) *error = path + ": " + directory + wrong;
  return wrong == nullptr;
}

// The process that holds the lock, from the kernel's list: "1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE …".
int lock_holder(const struct stat& file) {
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    int pid;
    unsigned major, minor;
    uint64_t inode;
    if (std::sscanf(line.c_str(), "%*d: FLOCK %*s WRITE %d %x:%x:%" SCNu64, &pid, &major, &minor,
                    &inode) == 4 &&
        inode == file.st_ino && makedev(major, minor) == file.st_dev)
      return pid;
  }
  return 0;
}

}  // namespace

bool NamedFile::fail(const char* call, std::string* error) const {
  *error = path_ + ": " + call + ": " + std::strerror(errno);
  return false;
}

std::unique_ptr<NamedFile> NamedFile::open(const std::string& path, Missing missing,
                                           std::string* error) {
  error->clear();
  if (!check_directory(path, error)) return nullptr;
  for (uint32_t tries = 0; tries < kOpenTries; ++tries) {
    std::unique_ptr<NamedFile> f(new NamedFile);
    f->path_ = path;
    const int make = missing == Missing::kMake ? O_CREAT : 0;
    f->fd_ = ::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | make, kOursAlone);
    if (f->fd_ < 0) {
      if (errno == ENOENT && !make) return nullptr;
      if (errno == ELOOP)
        *error = path + ": is a symbolic link, which is not followed";
      else
        f->fail("open", error);
      return nullptr;
    }
    bool stale = false;
    if (!f->check_owner(error) || !f->take_lock(&stale, error)) return nullptr;
    if (stale) continue;
    struct stat s;
    struct statfs where;
    if (fstat(f->fd_, &s) != 0 || fstatfs(f->fd_, &where) != 0) {
      f->fail("stat", error);
      return nullptr;
    }
    f->size_ = static_cast<size_t>(s.st_size);
    f->huge_ = where.f_type == HUGETLBFS_MAGIC;
    f->tmpfs_ = where.f_type == TMPFS_MAGIC;
    return f;
  }
  *error = path + ": is replaced again and again";
  return nullptr;
}

bool NamedFile::check_owner(std::string* error) const {
  struct stat s;
  if (fstat(fd_, &s) != 0) return fail("stat", error);
  const char* wrong = nullptr;
  if (!S_ISREG(s.st_mode))
    wrong = "is not a file";
  else if (s.st_uid != geteuid())
    wrong = "belongs to somebody else";
  else if ((s.st_mode & 077) != 0)
    wrong = "others may open it (its mode must be 0600)";
  else if (s.st_nlink > 1)
    wrong = "has another name too";
  if (wrong) *error = path_ + ": " + wrong;
  return wrong == nullptr;
}

// `stale`: what was locked is not what the name stands for any more.
bool NamedFile::take_lock(bool* stale, std::string* error) const {
  struct stat held, named;
  if (fstat(fd_, &held) != 0) return fail("stat", error);
  if (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail("flock", error);
    const int pid = lock_holder(held);
    *error = path_ + ": in use by another process" +
             (pid > 0 ? " (" + std::to_string(pid) + ")" : std::string());
    return false;
  }
  *stale = lstat(path_.c_str(), &named) != 0 || named.st_ino != held.st_ino ||
           named.st_dev != held.st_dev;
  return true;
}

NamedFile::~NamedFile() {
  unmap();
  if (fd_ >= 0) close(fd_);
}

void NamedFile::let_go() noexcept {
  if (base_ != nullptr &&
      mmap(base_, size_, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED) {
    return;  // it is let go with us
  }
  close(fd_);
  fd_ = -1;
}

void NamedFile::unmap() noexcept {
  if (base_ != nullptr) munmap(base_, size_);
  base_ = nullptr;
}

// Transparent huge pages are a wish, which must be uttered before there are pages.
bool NamedFile::map_all(std::string* error) {
  void* base = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (base == MAP_FAILED) return fail("mmap", error);
  base_ = static_cast<uint8_t*>(base);
  if (!huge_) madvise(base_, size_, MADV_HUGEPAGE);
  const bool present = madvise(base_, size_, MADV_POPULATE_WRITE) == 0;
  if (fallocate(fd_, 0, 0, static_cast<off_t>(size_)) == 0) {
    if (present) return true;
    for (size_t at = 0; at < size_; at += kSmallPage) {
      auto* word = reinterpret_cast<volatile uint8_t*>(base_ + at);
      *word = *word;
    }
    return true;
  }
  const bool full = errno == ENOSPC || errno == ENOMEM;
  fail("fallocate", error);
  if (full) *error += " (" + std::to_string((size_ >> 20) + 1) + " MB are needed there)";
  unmap();
  return false;
}

bool NamedFile::make(size_t bytes, std::string* error) {
  const size_t page = huge_ ? kHugePage : kSmallPage;
  unmap();
  size_ = (bytes + page - 1) / page * page;
  if (ftruncate(fd_, 0) != 0 || ftruncate(fd_, static_cast<off_t>(size_)) != 0) {
    fail("ftruncate", error);
  } else if (map_all(error)) {
    return true;
  }
  clear();
  return false;
}

size_t NamedFile::read(void* to, size_t bytes) const noexcept {
  const ssize_t n = pread(fd_, to, bytes, 0);
  return n < 0 ? 0 : static_cast<size_t>(n);
}

void NamedFile::clear() noexcept {
  unmap();
  if (ftruncate(fd_, 0) == 0) size_ = 0;
}

bool NamedFile::map(std::string* error) {
  if (base_ != nullptr) return true;
  if (size_ == 0) {
    *error = path_ + ": is empty";
    return false;
  }
  return map_all(error);
}

bool NamedFile::move_to(const std::string& path, std::string* error) {
  if (rename(path_.c_str(), path.c_str()) != 0) return fail("rename", error);
  path_ = path;
  return true;
}

void NamedFile::remove() noexcept { unlink(path_.c_str()); }

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string text, id;
  std::getline(file, text);
  for (const char c : text)
    if (c != '-') id += c;
  return id;
}

}  // namespace nodeplane
