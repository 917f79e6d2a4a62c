/* SPDX-License-Identifier: Apache-2.0
 * braid bench: the benchmarks, by name. */
#include "bench.h"

#include "commands.h"

#include <stddef.h>
#include <string.h>

#define FIELD(member) offsetof(struct bench_options, member)
static const struct cli_option options[] = {
    {"edge-gflops", 0, CLI_REAL, FIELD(edge_gflops), "X", "10", "plan: the edge's rate; time = 2 MACs / rate"},
    {"edge", 0, CLI_TEXT, FIELD(edge), "FILE", NULL,
     "plan: profile of the edge (one MODEL); the cloud is it over the ratio"},
    {"slices", 0, CLI_COUNT, FIELD(slices), "N", "8", "plan: each policy takes the better of 1 and N slices of rows"},
    {"quick", 0, CLI_FLAG, FIELD(quick), NULL, NULL, "plan: a sample of the cells in place of all"},
    {"cells", 0, CLI_COUNT, FIELD(cells), "N", "200", "plan: how many cells --quick looks at"},
    {"seed", 0, CLI_INT, FIELD(seed), "N", "1", "plan: which sample, and which graphs are grown"},
    {"largest", 0, CLI_INT, FIELD(largest), "N", "10000", "plan: nodes of the largest grown graph; 0: grow none"},
    CLI_JSON_OPTION(struct bench_options, json),
};

static const struct {
  const char *name;
  int (*run)(const struct bench_options *options, char **models, int n_models);
} benches[] = {{"plan", bench_plan}};

static int run(const void *values, char **args, int n_args) {
  for (int i = 0; i < CLI_COUNT_OF(benches); i++)
    if (strcmp(args[0], benches[i].name) == 0) return benches[i].run(values, args + 1, n_args - 1);
  cli_usage("bench: there is no benchmark '%s'; there are:", args[0]);
  for (int i = 0; i < CLI_COUNT_OF(benches); i++) fprintf(stderr, "  %s\n", benches[i].name);
  return CLI_USAGE;
}

const struct cli_command cmd_bench = {
    "bench",
    "plan [MODEL...]",
    "benchmarks",
    "plan: every policy on a grid of networks (the zoo, or the models given), rates (1 to 200 Mbit/s), device ratios "
    "(2 to "
    "50), cloud load (1 to 8), round trips (2 to 50 ms), private input or not, latency and throughput. Checks in every "
    "cell "
    "that braid is not worse than any other policy, says by how much it is better, how far from the bound, and how "
    "long "
    "decisions take, also as graphs grow. The whole grid takes long; --quick takes a seeded sample of it.",
    1,
    -1,
    options,
    CLI_COUNT_OF(options),
    run};
