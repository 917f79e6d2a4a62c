/* SPDX-License-Identifier: Apache-2.0
 * What `plan` and `compare` share: options -> costs and goal. */
#ifndef BRAID_CLI_PLANNING_H
#define BRAID_CLI_PLANNING_H

#include "cli.h"
#include "precision.h"

struct planning_options {
  const char *edge, *cloud; /* profiles */
  double edge_gflops, cloud_gflops;
  int edge_workers, cloud_workers;
  double up, down;
  int64_t rtt, message_cost;
  double load;
  const char *objective, *input_bytes, *codec, *slices, *deliver;
  bool private_input;
  size_t edge_memory, jpeg_bytes;
  int64_t max_latency;
  struct cli_list pin_node; /* NAME=SITE */
  struct cli_precision precision;
  int batch, frames;
};

#define PLANNING_SLICES_TEXT "slices of rows a node is cut into; auto: what pays with braid, whole nodes with others"
#define PLANNING_DELIVER_TEXT "where the results are wanted; cloud: with a consumer there ('braid cloud --results')"
#define PLANNING_OPTIONS(type, m)                                                                                        \
  {"edge", 0, CLI_TEXT, offsetof(type, m.edge), "FILE", NULL, "profile of the edge ('braid profile')"},                  \
      {"cloud", 0, CLI_TEXT, offsetof(type, m.cloud), "FILE", NULL, "profile of the cloud"},                             \
      {"edge-gflops",                                                                                                    \
       0,                                                                                                                \
       CLI_REAL,                                                                                                         \
       offsetof(type, m.edge_gflops),                                                                                    \
       "X",                                                                                                              \
       NULL,                                                                                                             \
       "in place of a profile: time = 2 MACs / rate"},                                                                   \
      {"cloud-gflops", 0, CLI_REAL, offsetof(type, m.cloud_gflops), "X", NULL, "the same for the cloud"},                \
      {"edge-workers", 0, CLI_INT, offsetof(type, m.edge_workers), "N", "0", "0: the profile's threads"},                \
      {"cloud-workers", 0, CLI_INT, offsetof(type, m.cloud_workers), "N", "0", "0: the profile's threads"},              \
      {"up", 0, CLI_RATE, offsetof(type, m.up), "RATE", "20mbit", "rate of the uplink"},                                 \
      {"down", 0, CLI_RATE, offsetof(type, m.down), "RATE", NULL, "rate of the downlink; the uplink's if not given"},    \
      {"rtt", 0, CLI_TIME, offsetof(type, m.rtt), "TIME", "10ms", "round trip; half of it each way"},                    \
      {"message-cost", 0, CLI_TIME, offsetof(type, m.message_cost), "TIME", "0", "time the link spends on any message"}, \
      {"objective", 0, CLI_TEXT, offsetof(type, m.objective), "latency|throughput", "latency", "what to minimise"},      \
      {"deliver",                                                                                                        \
       0,                                                                                                                \
       CLI_TEXT,                                                                                                         \
       offsetof(type, m.deliver),                                                                                        \
       "edge|cloud",                                                                                                     \
       "edge",                                                                                                           \
       PLANNING_DELIVER_TEXT},                                                                                           \
      {"load", 0, CLI_REAL, offsetof(type, m.load), "K", "1", "the cloud is K times slower than its profile"},           \
      {"batch", 0, CLI_COUNT, offsetof(type, m.batch), "N", "1", "images in a frame"},                                   \
      {"frames",                                                                                                         \
       0,                                                                                                                \
       CLI_INT,                                                                                                          \
       offsetof(type, m.frames),                                                                                         \
       "N",                                                                                                              \
       "0",                                                                                                              \
       "frames in flight in throughput forecasts and frames drawn; 0: chosen"},                                          \
      {"private", 0, CLI_FLAG, offsetof(type, m.private_input), NULL, NULL, "the raw input must not leave the edge"},    \
      {"edge-memory",                                                                                                    \
       0,                                                                                                                \
       CLI_SIZE,                                                                                                         \
       offsetof(type, m.edge_memory),                                                                                    \
       "SIZE",                                                                                                           \
       "0",                                                                                                              \
       "limit on weights and activations on the edge; 0: none"},                                                         \
      {"max-latency",                                                                                                    \
       0,                                                                                                                \
       CLI_TIME,                                                                                                         \
       offsetof(type, m.max_latency),                                                                                    \
       "TIME",                                                                                                           \
       "0",                                                                                                              \
       "refuse plans with a higher predicted latency, whatever the objective; 0: none"},                                 \
      {"pin-node",                                                                                                       \
       0,                                                                                                                \
       CLI_LIST,                                                                                                         \
       offsetof(type, m.pin_node),                                                                                       \
       "NAME=edge|cloud",                                                                                                \
       NULL,                                                                                                             \
       "this node must run there (repeatable)"},                                                                         \
      {"input-bytes",                                                                                                    \
       0,                                                                                                                \
       CLI_TEXT,                                                                                                         \
       offsetof(type, m.input_bytes),                                                                                    \
       "N|uint8|fp32",                                                                                                   \
       NULL,                                                                                                             \
       "bytes of an input on the wire; its own if not given"},                                                           \
      {"jpeg-bytes",                                                                                                     \
       0,                                                                                                                \
       CLI_SIZE,                                                                                                         \
       offsetof(type, m.jpeg_bytes),                                                                                     \
       "N",                                                                                                              \
       NULL,                                                                                                             \
       "bytes of one input picture as a JPEG file, for the row cloud-only-jpeg"},                                        \
      {"codec", 0, CLI_TEXT, offsetof(type, m.codec), "NAME", "fp32", "how tensors travel; fp32 (as they are) only"},    \
      CLI_PRECISION_OPTIONS(type, m.precision), CLI_PREPROCESS_OPTION(type, m.precision),                                \
  {                                                                                                                      \
    "slices", 0, CLI_TEXT, offsetof(type, m.slices), "N|auto", "auto", PLANNING_SLICES_TEXT                              \
  }

struct planning {
  struct braid_graph *graph;
  struct braid_profile *edge, *cloud;
  size_t *wire_bytes;
  int8_t *pinned;
  struct braid_costs costs;
  struct braid_goal goal;
  int frames;
};
/* CLI_DONE or an exit status after saying why. `policy` may be NULL: only its existence is checked. */
int planning_open(const struct planning_options *options, const char *model, struct planning *out);
void planning_close(struct planning *planning);
/* The policy's plan. *decide_ns: time spent deciding. */
BRAID_NODISCARD enum braid_status planning_decide(const struct planning *planning, const struct braid_policy *policy,
                                                  struct braid_plan **out, int64_t *decide_ns);
/* The policy or CLI_USAGE with a near miss. */
int planning_policy(const char *name, const struct braid_policy **out);
int planning_objective(const char *name, enum braid_objective *out);
int planning_deliver(const char *name, enum braid_site *out);
/* The text of --slices as goal.slices: auto is 0, the policy chooses. */
int planning_slices(const char *text, int *out);

#endif
