/* SPDX-License-Identifier: Apache-2.0
 *
 * What the session tests share: a watchdog, a cloud with a table of models, random plans, random inputs, the
 * one-machine answer, and a raw link that can say anything. Plain C, no Criterion, so that it also runs under TSan. */
#ifndef TESTS_RUNTIME_SESSION_RIG_H
#define TESTS_RUNTIME_SESSION_RIG_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "braid/runtime.h"

#define CHECK(cond, ...)                                                                                               \
  do {                                                                                                                 \
    if (!(cond)) rig_fail(__FILE__, __LINE__, #cond, __VA_ARGS__);                                                     \
  } while (0)
#define MUST(expr) CHECK((expr) == BRAID_OK, "%s", braid_error())

void rig_fail(const char *file, int line, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));
/* Announces a case, names it when it fails, and ends the program when it takes longer than `seconds`. */
void rig_case(const char *name, int seconds);
void rig_done(void);

/* ------------------------------------------------------------------------------------------------ networks */

struct braid_graph *rig_graph(uint64_t seed, int n_nodes, unsigned flags); /* sealed */
/* Any sites with the inputs on the edge; without `returns` closed: nothing goes from the cloud back into an edge node.
 */
struct braid_plan *rig_plan(const struct braid_graph *graph, uint64_t seed, bool returns);
struct braid_plan *rig_plan_all(const struct braid_graph *graph, enum braid_site site); /* but the inputs */

/* Inputs and their answer by braid_program_run with everything on one machine. */
struct rig_sample {
  struct braid_tensor *in, *out;
  int n_in, n_out;
};
struct rig_sample *rig_sample(const struct braid_graph *graph, uint64_t seed);
void rig_sample_free(struct rig_sample *sample);
void rig_check_answer(const struct rig_sample *sample, const struct braid_answer *answer);

/* --------------------------------------------------------------------------------------------------- cloud */

enum { RIG_MODELS = 8, RIG_EVENTS = 16384, RIG_DELIVERED = 1 << 20 };

struct rig_cloud {
  struct braid_cloud *cloud;
  char address[128];
  struct {
    const char *name;
    const struct braid_graph *graph;
  } model[RIG_MODELS];
  int n_models;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  char *event[RIG_EVENTS]; /* "kind: text" */
  int n_events;
  /* What rig_deliver was given; frame n of an edge is a run of sample[n % n_samples]. */
  struct rig_sample *const *sample;
  int n_samples;
  uint8_t delivered[RIG_DELIVERED]; /* by frame */
  int n_delivered;
  char run[BRAID_RUN_CHARS + 1]; /* of the one edge there is */
};
/* `opts` gives what differs from the defaults (heartbeat 10 s, 2 threads); NULL: nothing. `scheme` "inproc" or "tcp", or a
 * whole address.
 */
struct rig_cloud *rig_cloud_start(const char *scheme, const struct braid_graph *graph,
                                  const struct braid_cloud_opts *opts);
void rig_cloud_add(struct rig_cloud *rig, const char *name, const struct braid_graph *graph);
/* Waits until there was an event of that kind whose text has `part` in it. */
void rig_cloud_await(struct rig_cloud *rig, const char *kind, const char *part);
/* The consumer of results for opts.result: compares them with the sample, and takes no name twice. */
enum braid_status rig_deliver(void *ctx, const struct braid_result *result);
bool rig_was_delivered(struct rig_cloud *rig, uint64_t frame);
void rig_cloud_stop(struct rig_cloud *rig);

/* Defaults for an edge of that cloud: model "net", reference kernels, heartbeat 10 s, no fallback. */
struct braid_edge_opts rig_edge_opts(const struct rig_cloud *rig, const struct braid_plan *plan, int window);
/* Frames without end: a step submits one or, when `window` of them are under way, takes and checks an answer. */
struct rig_flow {
  struct braid_edge *edge;
  struct rig_sample *const *sample;
  int n_samples, window;
  uint64_t submitted, answered;
  uint32_t last_epoch;     /* of the last answer */
  struct rig_cloud *cloud; /* who has those answered without tensors; NULL: there are none */
  uint64_t away;           /* of those answered */
};
void rig_flow_step(struct rig_flow *flow);
void rig_flow_take(struct rig_flow *flow);
/* Takes what is still under way; every frame was answered once. */
void rig_flow_end(struct rig_flow *flow);
/* Submits the samples in turn, `frames` of them, checks every answer. */
void rig_run_frames(struct braid_edge *edge, struct rig_sample *const *sample, int n_samples, int frames, int window);

/* ------------------------------------------------------------------------------------------------ raw links */

struct braid_link *rig_raw_connect(const char *address);
void rig_raw_send(struct braid_link *link, braid_peer peer, struct braid_msg msg, const void *payload, size_t bytes);
/* The next message that is no PING (answered), PONG or ACK. */
struct braid_msg rig_raw_recv(struct braid_link *link, braid_peer *peer);
/* HELLO for `graph` as model "net"; returns after WELCOME. */
void rig_raw_hello(struct braid_link *link, const struct braid_graph *graph);
/* PLAN with that text. */
void rig_raw_plan(struct braid_link *link, uint32_t epoch, uint32_t window, const char *json);
/* PLAN and its PLAN_OK. */
void rig_raw_agree(struct braid_link *link, const struct braid_graph *graph, const struct braid_plan *plan,
                   uint32_t epoch, uint32_t window);
void rig_raw_expect_refusal(struct braid_link *link, const char *part);

#endif
