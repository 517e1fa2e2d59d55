// The capture reader on any bytes: it ends, times do not go back, and what it hands on may be read.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "driver/pcap/reader.h"

using nodeplane::CaptureReader;
using nodeplane::check;
using nodeplane::Record;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int fd = memfd_create("capture", MFD_CLOEXEC);
  check(fd >= 0, "memfd");
  check(write(fd, data, size) == static_cast<ssize_t>(size), "write");
  check(lseek(fd, 0, SEEK_SET) == 0, "lseek");
  std::string error;
  const auto reader = CaptureReader::open(fd, "capture", &error);
  if (reader == nullptr) {
    check(!error.empty(), "a refusal has a reason");
    return 0;
  }
  nodeplane::Time last = 0;
  size_t records = 0;
  volatile uint8_t sink = 0;
  while (const Record* record = reader->peek()) {
    check(record->time >= last, "time goes back");
    last = record->time;
    if (record->bytes != nullptr)
      for (uint32_t i = 0; i < record->length; ++i) sink = sink ^ record->bytes[i];
    reader->next();
    check(++records <= size, "more records than bytes");
  }
  (void)reader->failure();
  return 0;
}
