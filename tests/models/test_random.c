/* SPDX-License-Identifier: Apache-2.0
 * What must hold for any graph: sealed with any passes it keeps its invariants, its ends and its hash. */
#include "graph_help.h"
#include "random_graph.h"

#include <string.h>

enum { SEEDS = 40, MASKS = BRAID_PASS_ALL + 1 };

Test(random, any_graph_with_any_passes_is_sound) {
  uint64_t seed = random_graph_seed(1);
  for (uint64_t i = 0; i < SEEDS; i++)
    for (unsigned flags = 0; flags < RANDOM_GRAPH_FLAGS; flags++) {
      unsigned passes = (unsigned)(braid_random_u64(seed, i * RANDOM_GRAPH_FLAGS + flags) % MASKS);
      struct braid_graph *g = random_graph(seed + i, 1 + (int)i * 2, flags);
      cr_assert_eq(braid_graph_seal(g, passes), BRAID_OK, "seed %d flags %u passes %u: %s", (int)(seed + i), flags,
                   passes, braid_error());
      cr_assert_eq(braid_graph_check(g), BRAID_OK, "seed %d flags %u passes %u: %s", (int)(seed + i), flags, passes,
                   braid_error());
      braid_graph_destroy(&g);
    }
}
