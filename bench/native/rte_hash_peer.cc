// DPDK's rte_hash as a peer of the flow table, for bench path and bench flows: rte_hash_peer KEYS...
// makes one table for each number, with 4/3 as many entries (a load of 75 %), on 2 MiB pages.
// stdout  one line `KEYS ENTRIES` per table, then `ready`
// stdin   `TABLE BULK`: a lap over table TABLE (from 0); answered by its nanoseconds per key
// A lap draws 8,192 of the table's 16-byte keys anew and then, timed, looks all of them up by
// rte_hash_lookup_bulk_data with the CRC hash, BULK at a time; 32 laps before it are not counted (they
// warm the caches, as the corridor's laps do). Whatever is wrong ends it with status 1.
#include <rte_eal.h>
#include <rte_hash.h>
#include <rte_hash_crc.h>
#include <rte_lcore.h>
#include <sched.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr uint32_t kLapKeys = 8192;
constexpr uint32_t kWarmLaps = 32;  // as bench/laps.ts
constexpr uint64_t kRandomSeed = 1;

struct Key {
  uint64_t words[2];
};
static_assert(sizeof(Key) == 16);

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "rte_hash_peer: %s\n", why.c_str());
  std::exit(EXIT_FAILURE);
}

struct Table {
  rte_hash* hash = nullptr;
  std::vector<Key> keys;  // all that are in it; each one's data is its place here
};

Table fill(uint32_t keys, size_t nth, std::mt19937_64& random) {
  const std::string name = "keys" + std::to_string(nth);
  rte_hash_parameters options{};
  options.name = name.c_str();
  options.entries = keys / 3 * 4;
  options.key_len = sizeof(Key);
  options.hash_func = rte_hash_crc;
  options.socket_id = static_cast<int>(rte_socket_id());
  Table table;
  table.hash = rte_hash_create(&options);
  if (table.hash == nullptr) fail("no table of " + std::to_string(keys) + " keys: too few pages?");
  for (uintptr_t n = 0; n < keys; ++n) {
    const Key key{{random(), random()}};
    if (rte_hash_add_key_data(table.hash, &key, reinterpret_cast<void*>(n)) != 0)
      fail("key " + std::to_string(n) + " found no place");
    table.keys.push_back(key);
  }
  std::printf("%u %u\n", keys, options.entries);
  return table;
}

// Nanoseconds per key.
double lap(const Table& table, uint32_t bulk, std::mt19937_64& random) {
  static Key keys[kLapKeys];
  static const void* wanted[kLapKeys];
  static void* found[kLapKeys];
  static uint64_t places[kLapKeys];
  for (uint32_t i = 0; i < kLapKeys; ++i) {
    places[i] = random() % table.keys.size();
    keys[i] = table.keys[places[i]];
    wanted[i] = &keys[i];
  }
  uint32_t hits = 0;
  const auto before = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < kLapKeys; i += bulk) {
    uint64_t mask;
    hits += static_cast<uint32_t>(
        rte_hash_lookup_bulk_data(table.hash, wanted + i, bulk, &mask, found + i));
  }
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - before;
  for (uint32_t i = 0; i < kLapKeys; ++i)
    if (hits != kLapKeys || reinterpret_cast<uintptr_t>(found[i]) != places[i])
      fail("a key was not found");
  return took.count() / kLapKeys;
}

// One core, the last one that this process may use; memory of our own, in 2 MiB pages.
void start() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) fail("no core");
  int core = CPU_SETSIZE - 1;
  while (!CPU_ISSET(core, &allowed)) --core;
  std::string options[] = {"rte_hash_peer",
                           "-l",
                           std::to_string(core),
                           "--in-memory",
                           "--no-pci",
                           "--no-telemetry",
                           "--log-level=lib.eal:error"};
  std::vector<char*> arguments;
  for (std::string& option : options) arguments.push_back(option.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0)
    fail("DPDK's environment does not start here: are there 2 MiB pages?");
}

}  // namespace

int main(int count, char** arguments) {
  start();
  std::mt19937_64 random(kRandomSeed);
  std::vector<Table> tables;
  for (int i = 1; i < count; ++i) {
    const auto keys = static_cast<uint32_t>(std::strtoul(arguments[i], nullptr, 10));
    if (keys < 6 || keys % 3 != 0) fail(std::string(arguments[i]) + " is no number of keys");
    tables.push_back(fill(keys, tables.size(), random));
  }
  std::puts("ready");
  std::fflush(stdout);
  unsigned table, bulk;
  while (std::scanf("%u %u", &table, &bulk) == 2) {
    if (table >= tables.size()) fail("no such table");
    if (bulk == 0 || bulk > RTE_HASH_LOOKUP_BULK_MAX || kLapKeys % bulk != 0) fail("no such bulk");
    for (uint32_t i = 0; i < kWarmLaps; ++i) lap(tables[table], bulk, random);
    std::printf("%.4f\n", lap(tables[table], bulk, random));
    std::fflush(stdout);
  }
}
