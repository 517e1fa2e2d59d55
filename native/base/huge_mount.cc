// A hugetlbfs of our own (Documentation/admin-guide/mm/hugetlbpage.rst): memfds on huge pages have no
// name, and the system's own mount is not ours to fill.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/named_file.h"

namespace nodeplane {
namespace {

constexpr const char* kMountOptions = "pagesize=2M,mode=0700";

bool is_mounted(const std::string& directory) {
  struct statfs s;
  return statfs(directory.c_str(), &s) == 0 && s.f_type == HUGETLBFS_MAGIC;
}

// Mounting and unmounting, one process at a time: the lock is on the folder around it.
class Turn {
 public:
  explicit Turn(const std::string& directory) {
    const std::string around = directory.substr(0, directory.rfind('/'));
    mkdir(around.c_str(), 0700);
    fd_ = open(around.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd_ >= 0) flock(fd_, LOCK_EX);
  }
  ~Turn() {
    if (fd_ >= 0) close(fd_);
  }
  bool held() const { return fd_ >= 0; }

 private:
  int fd_;
};

int parent_of(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(file, text);
  char state;
  int parent = 0;
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos ||
      std::sscanf(text.c_str() + name_end + 1, " %c %d", &state, &parent) != 2)
    return 0;
  return parent;
}

// A mount lives as long as its namespace, and that as long as its processes: one that was made for us
// (ip netns exec, a service manager) takes the file along when we are killed. So ours must be that of
// the eldest ancestor whom we may ask.
bool namespace_outlives_us() {
  struct stat ours, theirs;
  if (stat("/proc/self/ns/mnt", &ours) != 0) return false;
  bool same = false;
  for (int pid = getppid(); pid > 0; pid = parent_of(pid)) {
    if (stat(("/proc/" + std::to_string(pid) + "/ns/mnt").c_str(), &theirs) != 0) continue;
    same = theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
  }
  return same;
}

bool is_empty(const std::string& directory) {
  DIR* d = opendir(directory.c_str());
  if (d == nullptr) return false;
  bool empty = true;
  while (const dirent* entry = readdir(d)) {
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
      empty = false;
  }
  closedir(d);
  return empty;
}

}  // namespace

bool huge_mount(const std::string& directory, std::string* error) {
  if (!namespace_outlives_us()) {
    *error = "a mount of this process would end with it";
    return false;
  }
  const Turn turn(directory);
  if (is_mounted(directory)) return true;
  mkdir(directory.c_str(), 0700);
  if (!turn.held() || mount("nodeplane", directory.c_str(), "hugetlbfs",
                            MS_NOSUID | MS_NODEV | MS_NOEXEC, kMountOptions) != 0) {
    *error = "mount hugetlbfs at " + directory + ": " + std::strerror(errno);
    rmdir(directory.c_str());
    return false;
  }
  return true;
}

void huge_unmount(const std::string& directory) noexcept {
  const Turn turn(directory);
  if (!turn.held() || !is_mounted(directory) || !is_empty(directory)) return;
  if (umount2(directory.c_str(), UMOUNT_NOFOLLOW) == 0) rmdir(directory.c_str());
}

}  // namespace nodeplane
