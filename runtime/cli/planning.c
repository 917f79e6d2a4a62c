/* SPDX-License-Identifier: Apache-2.0 */
#include "planning.h"

#include "plan_file.h"

#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------- profiles */

static int read_profile(const char *side, const char *path, double gflops, const struct braid_graph *graph,
                        struct braid_profile **out) {
  if (path && gflops > 0) return cli_usage("--%s and --%s-gflops: give one of them", side, side);
  if (!path && gflops <= 0)
    return cli_usage("no costs for the %s: give --%s PROFILE or --%s-gflops X", side, side, side);
  if (path) return profile_file_read(path, graph, out) == BRAID_OK ? CLI_DONE : cli_fail(CLI_BAD_INPUT);
  return braid_profile_synthetic(graph, gflops, out) == BRAID_OK ? CLI_DONE : cli_fail(CLI_FAILED);
}

static int workers(int asked, const struct braid_profile *profile) {
  if (asked > 0) return asked;
  return profile->threads > 0 ? profile->threads : 1;
}

/* ------------------------------------------------------------------------------------------ bytes on the wire */

static int64_t input_bytes(const char *spec, const struct braid_node *input) {
  int64_t elements = braid_shape_elements(&input->shape);
  size_t bytes;
  if (strcmp(spec, "uint8") == 0) return elements;
  if (strcmp(spec, "fp32") == 0) return 4 * elements;
  return braid_parse_size(spec, &bytes) == BRAID_OK ? (int64_t)bytes : -1;
}

static int set_wire_bytes(struct planning *p, const char *spec) {
  if (!spec) return CLI_DONE;
  int n = braid_graph_size(p->graph), n_in;
  const int *in = braid_graph_inputs(p->graph, &n_in);
  p->wire_bytes = braid_calloc((size_t)n, sizeof *p->wire_bytes);
  if (!p->wire_bytes) return CLI_FAILED;
  for (int id = 0; id < n; id++) p->wire_bytes[id] = braid_graph_node(p->graph, id)->bytes;
  for (int i = 0; i < n_in; i++) {
    int64_t bytes = input_bytes(spec, braid_graph_node(p->graph, in[i]));
    if (bytes < 0) return cli_usage("--input-bytes: '%s' is neither a size nor uint8 nor fp32", spec);
    p->wire_bytes[in[i]] = (size_t)bytes;
  }
  p->costs.wire_bytes = p->wire_bytes;
  return CLI_DONE;
}

/* ------------------------------------------------------------------------------------------------- goal */

int planning_objective(const char *name, enum braid_objective *out) {
  *out = strcmp(name, "throughput") == 0 ? BRAID_THROUGHPUT : BRAID_LATENCY;
  if (strcmp(name, "latency") == 0 || strcmp(name, "throughput") == 0) return CLI_DONE;
  return cli_usage("--objective: '%s' is neither latency nor throughput", name);
}

int planning_deliver(const char *name, enum braid_site *out) {
  *out = strcmp(name, "cloud") == 0 ? BRAID_CLOUD : BRAID_EDGE;
  if (strcmp(name, "edge") == 0 || strcmp(name, "cloud") == 0) return CLI_DONE;
  return cli_usage("--deliver: '%s' is neither edge nor cloud", name);
}

int planning_slices(const char *text, int *out) {
  char *end;
  long n = strtol(text, &end, 10);
  bool chosen = strcmp(text, "auto") == 0;
  if (!chosen && (end == text || *end || n < 1 || n > BRAID_PLAN_TASKS_MAX))
    return cli_usage("--slices: '%s' is neither a number of slices nor auto", text);
  *out = chosen ? 0 : (int)n;
  return CLI_DONE;
}

static int set_goal(const struct planning_options *o, struct planning *p) {
  p->goal.private_input = o->private_input;
  p->goal.edge_memory = o->edge_memory;
  p->goal.latency_max_ns = o->max_latency;
  p->goal.window = o->frames;
  p->frames = o->frames;
  if (o->frames > BRAID_PLAN_WINDOW_MAX) return cli_usage("--frames: at most %d", BRAID_PLAN_WINDOW_MAX);
  if (strcmp(o->codec, "fp32") != 0)
    return cli_usage("--codec: '%s' is not there yet; tensors travel as they are (fp32)", o->codec);
  int exit = planning_objective(o->objective, &p->goal.objective);
  if (exit == CLI_DONE) exit = planning_deliver(o->deliver, &p->goal.deliver);
  return exit == CLI_DONE ? planning_slices(o->slices, &p->goal.slices) : exit;
}

static int pin_node(const char *text, struct planning *p) {
  const char *site = strrchr(text, '='); /* names may have one of their own */
  char name[256];
  if (!site || strlen(text) >= sizeof name || (strcmp(site, "=edge") != 0 && strcmp(site, "=cloud") != 0))
    return cli_usage("--pin-node: '%s' is not NAME=edge or NAME=cloud", text);
  snprintf(name, sizeof name, "%.*s", (int)(site - text), text);
  int id = braid_graph_find(p->graph, name);
  if (id < 0)
    return cli_usage("--pin-node: %s has no node '%s' ('braid info' lists them)", braid_graph_name(p->graph), name);
  int8_t to = strcmp(site, "=edge") == 0 ? BRAID_EDGE : BRAID_CLOUD;
  if (p->pinned[id] >= 0 && p->pinned[id] != to) return cli_usage("--pin-node: '%s' is pinned to both sites", name);
  p->pinned[id] = to;
  return CLI_DONE;
}

static int set_pins(const struct cli_list *pins, struct planning *p) {
  if (pins->n == 0) return CLI_DONE;
  p->pinned = braid_malloc((size_t)braid_graph_size(p->graph));
  if (!p->pinned) return CLI_FAILED;
  memset(p->pinned, -1, (size_t)braid_graph_size(p->graph));
  p->goal.pinned = p->pinned;
  for (int i = 0; i < pins->n; i++) {
    int exit = pin_node(pins->item[i], p);
    if (exit != CLI_DONE) return exit;
  }
  return CLI_DONE;
}

static void set_costs(const struct planning_options *o, struct planning *p) {
  int64_t delay = o->rtt / 2;
  p->costs.n_nodes = braid_graph_size(p->graph);
  p->costs.edge_ns = p->edge->node_ns;
  p->costs.cloud_ns = p->cloud->node_ns;
  p->costs.edge_slice_ns = p->edge->slice_ns;
  p->costs.cloud_slice_ns = p->cloud->slice_ns;
  p->costs.edge_task_ns = p->edge->task_ns;
  p->costs.cloud_task_ns = p->cloud->task_ns;
  p->costs.edge_workers = workers(o->edge_workers, p->edge);
  p->costs.cloud_workers = workers(o->cloud_workers, p->cloud);
  p->costs.up = (struct braid_link_cost){o->up, delay, o->message_cost};
  p->costs.down = (struct braid_link_cost){o->down > 0 ? o->down : o->up, delay, o->message_cost};
  p->costs.cloud_load = o->load;
  p->costs.jpeg_bytes = o->jpeg_bytes;
}

int planning_open(const struct planning_options *o, const char *model, struct planning *out) {
  struct planning p = {0};
  int exit = set_goal(o, &p);
  if (exit == CLI_DONE) exit = precision_open(model, o->batch, &o->precision, &p.graph);
  if (exit == CLI_DONE) exit = set_pins(&o->pin_node, &p);
  if (exit == CLI_DONE) exit = read_profile("edge", o->edge, o->edge_gflops, p.graph, &p.edge);
  if (exit == CLI_DONE) exit = read_profile("cloud", o->cloud, o->cloud_gflops, p.graph, &p.cloud);
  if (exit == CLI_DONE) exit = set_wire_bytes(&p, o->input_bytes);
  if (exit != CLI_DONE) {
    planning_close(&p);
    return exit;
  }
  set_costs(o, &p);
  *out = p;
  return CLI_DONE;
}

void planning_close(struct planning *p) {
  braid_profile_destroy(&p->edge);
  braid_profile_destroy(&p->cloud);
  braid_free(p->wire_bytes);
  braid_free(p->pinned);
  braid_graph_destroy(&p->graph);
}

/* ----------------------------------------------------------------------------------------------- policy */

int planning_policy(const char *name, const struct braid_policy **out) {
  *out = braid_policy_find(name);
  if (*out) return CLI_DONE;
  int n;
  const struct braid_policy *const *policy = braid_policies(&n);
  const char *known[64];
  for (int i = 0; i < n && i < 64; i++) known[i] = policy[i]->name;
  const char *near = cli_nearest(name, known, n < 64 ? n : 64);
  if (near) return cli_usage("--policy: unknown policy '%s'; did you mean '%s'?", name, near);
  char all[1024] = "";
  size_t used = 0;
  for (int i = 0; i < n && used < sizeof all; i++)
    used += (size_t)snprintf(all + used, sizeof all - used, " %s", policy[i]->name);
  return cli_usage("--policy: unknown policy '%s'; there are%s", name, all);
}

enum braid_status planning_decide(const struct planning *p, const struct braid_policy *policy, struct braid_plan **out,
                                  int64_t *decide_ns) {
  struct braid_clock clock = braid_clock_monotonic();
  int64_t begin = braid_now_ns(&clock);
  enum braid_status status = braid_decide(policy, p->graph, &p->costs, &p->goal, out);
  *decide_ns = braid_now_ns(&clock) - begin;
  return status;
}
