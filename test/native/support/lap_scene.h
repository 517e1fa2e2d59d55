#pragma once
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "lap/path_lap.h"
#include "support/node_rows.h"
#include "support/table_bytes.h"

namespace nodeplane::test {

// A plane with loop ports and one service, and laps over it.
struct LapScene {
  // `capacity`: of the flow table.
  LapScene(uint32_t flows, uint32_t capacity) {
    PlaneOptions options;
    options.frames = 2 * kLapFrames;
    options.huge = false;
    options.flow_capacity4 = capacity;
    std::string error;
    plane = Plane::create(options, &error);
    EXPECT_NE(plane, nullptr) << error;
    for (uint32_t i = 0; i < NodeRows::kPorts; ++i) {
      PortSpec spec;
      spec.driver = "loop";
      spec.name = spec.interface = "lap" + std::to_string(i);
      EXPECT_EQ(plane->open_port(spec, &error), static_cast<int>(i)) << error;
    }
    publish(NodeRows(false, false, 2).set());
    PathLap::Options laps;
    laps.flows = flows;
    laps.services.resize(1);
    parse_address("10.96.0.10", laps.services[0].address.bytes);
    laps.services[0].be_port = swap16(80);
    lap = PathLap::create(*plane, laps, &error);
    EXPECT_NE(lap, nullptr) << error;
  }
  void publish(const TableSet& set) const {
    const TableBytes bytes(set);
    std::string error;
    EXPECT_NE(plane->publish(bytes.data(), bytes.size(), &error), 0u) << error;
  }

  std::unique_ptr<Plane> plane;
  std::unique_ptr<PathLap> lap;
};

}  // namespace nodeplane::test
