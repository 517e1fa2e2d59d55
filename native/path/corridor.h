#pragma once
#include "path/stage.h"
#include "path/tables.h"

namespace nodeplane {

// The whole way of the packets in batch[0, count): afterwards each is in an outgoing list of
// states.output, consumed, held, or dropped and counted (its frame given back).
void corridor(Batch& batch, const Tables& tables, States& states) noexcept;

// The rest of the way for packets that waited for a neighbour: route onwards.
void corridor_resume(Batch& batch, const Tables& tables, States& states) noexcept;

}  // namespace nodeplane
