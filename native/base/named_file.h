#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace nodeplane {

// Memory with a name: a file that outlives its process and is held by one process at a time. It is
// its owner's alone (mode 0600, owner checked, no symlink followed) and present as a whole once mapped,
// so that a full file system is an error here and no signal later.
class NamedFile {
 public:
  enum class Missing : uint8_t { kMake, kLeave };
  // Opens and locks it. Null with a reason in `error`; null without one: it is missing and was to be left so.
  static std::unique_ptr<NamedFile> open(const std::string& path, Missing missing,
                                         std::string* error);
  ~NamedFile();  // lets go; the file stays
  NamedFile(const NamedFile&) = delete;
  NamedFile& operator=(const NamedFile&) = delete;

  size_t size() const noexcept { return size_; }
  uint8_t* base() const noexcept { return base_; }
  const std::string& path() const noexcept { return path_; }
  // Pages of 2 MiB: it lies in a hugetlbfs.
  bool huge() const noexcept { return huge_; }
  // In memory, not on a disk that the kernel would write it to.
  bool in_memory() const noexcept { return huge_ || tmpfs_; }

  // Empties it and makes `bytes` of it, rounded up to whole pages, all zero.
  bool make(size_t bytes, std::string* error);
  // The first bytes of what is there, unmapped; how many there were.
  size_t read(void* to, size_t bytes) const noexcept;
  // Maps what is there; base() and size() then hold.
  bool map(std::string* error);
  void clear() noexcept;  // of all bytes; unmapped before
  // Takes the place of another file, in one step.
  bool move_to(const std::string& path, std::string* error);
  void remove() noexcept;
  // Lets go of file and lock. What was mapped reads as zero from now on, for whoever still looks.
  void let_go() noexcept;

 private:
  NamedFile() = default;
  bool check_owner(std::string* error) const;
  bool take_lock(bool* stale, std::string* error) const;
  bool map_all(std::string* error);
  void unmap() noexcept;
  bool fail(const char* call, std::string* error) const;

  std::string path_;
  int fd_ = -1;
  uint8_t* base_ = nullptr;
  size_t size_ = 0;
  bool huge_ = false, tmpfs_ = false;
};

// A hugetlbfs of our own, mounted when it is not yet. False with a reason: no right to mount, or a mount
// that would vanish with this process (a mount namespace that is not the machine's or container's).
bool huge_mount(const std::string& directory, std::string* error);
// Unmounts it when nothing is in it any more.
void huge_unmount(const std::string& directory) noexcept;

// The kernel's name of this boot, without dashes; empty: unknown.
std::string boot_id();

}  // namespace nodeplane
