/* SPDX-License-Identifier: Apache-2.0
 * braid bench: the benchmarks, by name. */
#include "bench.h"
#include "bench_peers.h"

#include "commands.h"

#include <stddef.h>
#include <string.h>

#define FIELD(member) offsetof(struct bench_options, member)
static const struct cli_option options[] = {
    {"edge-gflops", 0, CLI_REAL, FIELD(edge_gflops), "X", "10",
     "plan, pipeline: the edge's rate; time = 2 MACs / rate"},
    {"edge", 0, CLI_TEXT, FIELD(edge), "FILE", NULL,
     "plan: profile of the edge (one MODEL); the cloud is it over the ratio"},
    {"models", 0, CLI_LIST, FIELD(models), "DIR", NULL, "plan: networks, too: every .onnx file in it (repeatable)"},
    {"rates", 0, CLI_TEXT, FIELD(rates), "A,B,...", NULL, "plan: Mbit/s in place of the grid's"},
    {"ratios", 0, CLI_TEXT, FIELD(ratios), "A,B,...", NULL, "plan: how many times slower the edge is than the cloud"},
    {"loads", 0, CLI_TEXT, FIELD(loads), "A,B,...", NULL, "plan: load of the cloud"},
    {"rtts", 0, CLI_TEXT, FIELD(rtts), "A,B,...", NULL, "plan: round trips in ms"},
    {"private", 0, CLI_TEXT, FIELD(private_input), "no|yes|both", "both", "plan: must the raw input stay on the edge?"},
    {"objective", 0, CLI_TEXT, FIELD(objective), "latency|throughput|both", "both", "plan: what is minimised"},
    {"slices", 0, CLI_TEXT, FIELD(slices), "auto|both", "both",
     "plan: asked are policies for their own choice of slices, or for 8, too"},
    {"quick", 0, CLI_FLAG, FIELD(quick), NULL, NULL, "plan: a sample of the cells in place of all; link: few messages"},
    {"cells", 0, CLI_COUNT, FIELD(cells), "N", "200", "plan: how many cells --quick looks at"},
    {"seed", 0, CLI_INT, FIELD(seed), "N", "1", "plan: which sample, and which graphs are grown"},
    {"jobs", 0, CLI_COUNT, FIELD(jobs), "N", "1", "plan: processes that run cells"},
    {"results", 0, CLI_TEXT, FIELD(results), "FILE", NULL, "plan: a line of JSON for every cell, as it ends"},
    {"resume", 0, CLI_FLAG, FIELD(resume), NULL, NULL, "plan: cells that the results file has are not run again"},
    {"report", 0, CLI_TEXT, FIELD(report), "FILE.md", NULL, "plan: the summary as Markdown"},
    {"picture", 0, CLI_TEXT, FIELD(picture), "FILE.svg", NULL, "plan: the gain by rate and ratio, by gnuplot"},
    {"largest", 0, CLI_INT, FIELD(largest), "N", "10000", "plan: nodes of the largest grown graph; 0: grow none"},
    {"frames", 0, CLI_COUNT, FIELD(frames), "N", "12",
     "forecast, pipeline --real: frames of a latency cell; eight times as many of others"},
    {"rounds", 0, CLI_COUNT, FIELD(rounds), "N", NULL,
     "link, kernels, model: measurements of each kind, taking turns; 5, for model 15 if not given"},
    {"threads", 0, CLI_COUNT, FIELD(threads), "N", "1", "kernels: threads; model: worker threads of every runtime"},
    {"shapes", 0, CLI_TEXT, FIELD(shapes), "FILE", NULL,
     "kernels: the layers, one a line (bench/shapes has the zoo's)"},
    {"net", 0, CLI_TEXT, FIELD(net), "MODEL", NULL, "kernels: the layers of this network"},
    {"list", 0, CLI_FLAG, FIELD(list), NULL, NULL,
     "kernels: print the layers, as --shapes reads them, and time nothing"},
    {"peers", 0, CLI_TEXT, FIELD(peers), "LIST", "auto",
     "model: runtimes to compare with: onnxruntime, opencv, pytorch (with commas); auto: those that are installed; "
     "none"},
    {"peer-dir", 0, CLI_TEXT, FIELD(peer_dir), "DIR", NULL,
     "model: where node looks for onnxruntime-node before NODE_PATH: a folder with node_modules in it"},
    {"precision", 0, CLI_TEXT, FIELD(precision), "fp32|bf16|int8", "fp32",
     "model: Braid takes part once more in this precision, calibrated with the inputs themselves"},
    {"traces", 0, CLI_LIST, FIELD(traces), "FILE.csv|DIR", NULL,
     "pipeline: rates of a link over time, rows of seconds and Mbit/s under the line time_s,mbps (repeatable)"},
    {"real", 0, CLI_FLAG, FIELD(real), NULL, NULL,
     "pipeline: real processes and a shaped link in place of the simulator"},
    {"epochs", 0, CLI_FLAG, FIELD(epochs), NULL, NULL,
     "pipeline: changes of plan under load, and what they cost the frames under way"},
    {"changes", 0, CLI_COUNT, FIELD(changes), "N", "1000", "pipeline --epochs: how often the plan is changed"},
    {"fps", 0, CLI_REAL, FIELD(fps), "X", NULL,
     "pipeline: frames arrive at this rate and wait for each other; if not given: each when the last has been "
     "answered"},
    {"bridge", 0, CLI_REAL, FIELD(bridge), "X", "1.25",
     "pipeline: the edge, once its own part is done, also computes the rest of frames later than X times their "
     "forecast"},
    CLI_JSON_OPTION(struct bench_options, json),
};

static const struct {
  const char *name;
  int (*run)(const struct bench_options *options, char **models, int n_models);
} benches[] = {{"plan", bench_plan},         {"forecast", bench_forecast}, {"link", bench_link},
               {"pipeline", bench_pipeline}, {"model", bench_model},       {"kernels", bench_kernels}};

static int run(const void *values, char **args, int n_args) {
  if (strcmp(args[0], "model-child") == 0 && n_args == 2) return bench_model_child(args[1]);
  for (int i = 0; i < CLI_COUNT_OF(benches); i++)
    if (strcmp(args[0], benches[i].name) == 0) return benches[i].run(values, args + 1, n_args - 1);
  cli_usage("bench: there is no benchmark '%s'; there are:", args[0]);
  for (int i = 0; i < CLI_COUNT_OF(benches); i++) fprintf(stderr, "  %s\n", benches[i].name);
  return CLI_USAGE;
}

const struct cli_command cmd_bench = {
    "bench",
    "plan|forecast|pipeline|model [MODEL...] | kernels [LAYER...] | link",
    "benchmarks",
    "plan: every policy on a grid of networks (the zoo, or the models given), rates (1 to 200 Mbit/s), device ratios "
    "(2 to 50), cloud load (1 to 8), round trips (2 to 50 ms), private input or not, latency and throughput. Checks in "
    "every cell that braid is not worse than any other policy and that nobody beats the bound (exit status 1 where "
    "that "
    "fails), says by how much braid is better, how far from the bound, and how long decisions take, also as graphs "
    "grow. "
    "The whole grid takes long: --quick takes a seeded sample of it, --rates and the like fewer points, and --results "
    "with --resume goes on where an interrupted run ended.\n\n"
    "forecast: predicted against measured, two processes and a shaped link, in fifteen cells of network, rate, round "
    "trip and policy (those of the models given); checks the answers first. Run it on a quiet machine with two "
    "CPUs.\n\n"
    "link: rate and latency of Braid's link, raw ZeroMQ and raw TCP between two processes on two CPUs over loopback, "
    "from 64 bytes to 1 MiB, in the clear and with keys (CURVE). Checks first that every byte arrives; says what part "
    "of "
    "ZeroMQ's rate Braid has and what it adds to the latency, with the spread over the rounds.\n\n"
    "pipeline: replays traces of mobile links through the simulator, frame by frame: adapting to what the edge can see "
    "of the link, against "
    "the best of many static plans, chosen in hindsight, and an oracle. --ratios, --rtts (one value each: 8, 20 ms), "
    "--edge-gflops, --picture FILE.svg of the first trace. --real: two processes and a shaped link instead; without "
    "traces, many frames in flight: mixes against the optimum of their linear program, a plan in a pipeline against "
    "itself run serially, the use of the uplink. --epochs: a thousand changes of plan while frames flow, and how late "
    "frames come for it.\n\n"
    "kernels: every kernel that accepts a layer, on the layers of --net MODEL or of a file (--shapes), all of "
    "them or those whose names contain one of the LAYERs. A result is compared with the reference kernel's first "
    "(exit status 1 where it is off); then kernels and OpenBLAS's sgemm of the same size take turns. Says also "
    "the share of the machine's measured multiply-add peak.\n\n"
    "model: a network by Braid and by ONNX Runtime (node's), OpenCV and PyTorch (Python's), where they are "
    "installed: the same ONNX file, the same inputs, as many threads, each in a process of its own, taking turns. "
    "A peer's outputs are compared with Braid's first; where they differ its times do not count, and the exit "
    "status is 1. Says how many times longer than Braid each takes, with the spread over the rounds, the share of "
    "the machine's measured multiply-add peak, the slowest layers, the time from starting a process to its first "
    "result, and memory. With --precision Braid in lower precision is one of the peers: its outputs differ, by as much "
    "as is said, and its times count.",
    1,
    -1,
    options,
    CLI_COUNT_OF(options),
    run};
