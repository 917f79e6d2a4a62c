/* SPDX-License-Identifier: Apache-2.0
 * Memory runs out at the n-th allocation, for every n that a whole session has, on whichever side and thread it
 * happens: the call at hand reports it or the session ends, nothing leaks (ASan) and nothing hangs (the watchdog). */
#include <string.h>
#include <unistd.h>

#include "random_graph.h"
#include "session_rig.h"

enum { FRAMES = 3, ENOUGH = 20, MAX_ALLOCATIONS = 5000 };

struct world {
  struct braid_graph *graph;
  struct braid_plan *plan;
  struct rig_sample *sample;
};

static enum braid_status resolve(void *ctx, const char *name, const struct braid_graph **out) {
  (void)name;
  *out = ((const struct world *)ctx)->graph;
  return BRAID_OK;
}

static enum braid_status profile(void *ctx, const struct braid_graph *graph, struct braid_profile **out) {
  (void)ctx;
  return braid_profile_synthetic(graph, 8, out);
}

static enum braid_status run_frames(struct braid_edge *edge, const struct rig_sample *sample) {
  for (uint64_t i = 0; i < FRAMES; i++) {
    struct braid_answer *answer;
    BRAID_TRY(braid_edge_submit(edge, i, sample->in, sample->n_in));
    BRAID_TRY(braid_edge_wait(edge, -1, &answer));
    rig_check_answer(sample, answer);
    braid_answer_destroy(&answer);
  }
  return BRAID_OK;
}

static enum braid_status run_session(struct world *w) {
  struct braid_cloud_opts cloud_opts = {
      .listen = "inproc://memory", .resolve = resolve, .profile = profile, .ctx = w, .threads = 1};
  struct braid_cloud *cloud = NULL;
  BRAID_TRY(braid_cloud_start(&cloud_opts, &cloud));
  struct braid_edge_opts edge_opts = {.connect = "inproc://memory", .threads = 1, .plan = w->plan, .window = 2};
  struct braid_edge *edge = NULL;
  enum braid_status status = braid_edge_start(w->graph, &edge_opts, &edge);
  if (status == BRAID_OK) status = run_frames(edge, w->sample);
  braid_edge_stop(&edge);
  braid_cloud_stop(&cloud);
  return status;
}

static void run_with_failures(struct world *w) {
  long n = 1, failures = 0;
  for (int in_a_row = 0; in_a_row < ENOUGH; n++) {
    CHECK(n < MAX_ALLOCATIONS, "no end of allocations");
    alarm(30);
    braid_alloc_fail_at(n);
    enum braid_status status = run_session(w);
    braid_alloc_fail_at(0);
    in_a_row = status == BRAID_OK ? in_a_row + 1 : 0;
    failures += status != BRAID_OK;
    if (status != BRAID_OK) CHECK(strlen(braid_error()) > 0, "failure %ld without a reason", n);
  }
  printf("  %ld of %ld allocations made a session fail\n", failures, n - 1);
  CHECK(failures > 10, "the hook has no effect");
}

int main(void) {
  rig_case("the n-th allocation fails", 30);
  struct world w = {.graph = rig_graph(3, 4, RANDOM_GRAPH_WEIGHTS)};
  w.plan = rig_plan_all(w.graph, BRAID_CLOUD);
  w.sample = rig_sample(w.graph, 1);
  run_with_failures(&w);
  rig_sample_free(w.sample);
  braid_plan_destroy(&w.plan);
  braid_graph_destroy(&w.graph);
  rig_done();
  return 0;
}
