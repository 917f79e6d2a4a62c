/* SPDX-License-Identifier: Apache-2.0
 * Real processes, while frames flow: the cloud is killed in mid-frame and started again, frozen, cut off, replaced by
 * one that serves another network. Whatever happens every frame is answered once, with what one machine answers, and
 * the edge is back on the cloud at the end. How long things took is printed; nothing depends on it. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emulator.h"
#include "random_graph.h"
#include "session_rig.h"

/* Long enough for a busy machine, short enough to wait for two. */
#define HEARTBEAT_NS (INT64_C(400) * 1000 * 1000)
enum { SPARES = 8, WINDOW = 3 };

/* ------------------------------------------------------------------------------------------------ cloud processes */

/* Made before there is any thread here: each waits until it is told where to listen. */
struct spare {
  pid_t pid;
  int go, said; /* "tcp://127.0.0.1:0", back comes the address; then a byte for each edge that it refuses */
};

struct world {
  struct braid_graph *graph, *other;
  struct braid_plan *plan;
  struct rig_sample *sample;
  struct spare spare[SPARES];
  int n_used;
};

static void be_cloud(const struct world *w, int go, int said, bool impostor) {
  char address[128];
  if (read(go, address, sizeof address) != sizeof address) _exit(0);
  struct braid_cloud_opts opts = {.heartbeat_ns = HEARTBEAT_NS};
  struct rig_cloud *cloud = rig_cloud_start(address, impostor ? w->other : w->graph, &opts);
  CHECK(write(said, cloud->address, sizeof cloud->address) > 0, "pipe");
  if (impostor) {
    rig_cloud_await(cloud, "refused", "both must load the same file");
    CHECK(write(said, "x", 1) == 1, "pipe");
  }
  for (;;) pause();
}

static void make_spare(struct world *w, int i, bool impostor) {
  int go[2], said[2];
  CHECK(pipe2(go, O_CLOEXEC) == 0 && pipe2(said, O_CLOEXEC) == 0, "pipe");
  fflush(stdout);
  pid_t pid = fork();
  CHECK(pid >= 0, "fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    be_cloud(w, go[0], said[1], impostor);
  }
  close(go[0]);
  close(said[1]);
  w->spare[i] = (struct spare){pid, go[1], said[0]};
}

/* A cloud at `address`, which becomes the one it really has. */
static const struct spare *start_cloud(struct world *w, char address[128]) {
  const struct spare *s = &w->spare[w->n_used++];
  CHECK(write(s->go, address, 128) == 128 && read(s->said, address, 128) == 128, "the cloud does not start");
  return s;
}

static void kill_cloud(const struct spare *s) {
  int status;
  kill(s->pid, SIGKILL);
  CHECK(waitpid(s->pid, &status, 0) == s->pid, "the cloud has gone by itself");
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the cloud ended by itself (status %x)", status);
  close(s->go);
  close(s->said);
}

/* ----------------------------------------------------------------------------------------------------- the edge */

static void start_edge(const struct world *w, const char *address, struct rig_flow *flow) {
  struct braid_edge_opts opts = {.connect = address,
                                 .model = "net",
                                 .threads = 2,
                                 .plan = w->plan,
                                 .window = WINDOW,
                                 .heartbeat_ns = HEARTBEAT_NS};
  *flow = (struct rig_flow){.sample = &w->sample, .n_samples = 1, .window = WINDOW};
  MUST(braid_edge_start(w->graph, &opts, &flow->edge));
}

static double seconds(void) {
  struct braid_clock clock = braid_clock_monotonic();
  return (double)braid_now_ns(&clock) / 1e9;
}

static void until_alone(struct rig_flow *flow, const char *what) {
  double begin = seconds();
  uint64_t before = flow->answered;
  do rig_flow_step(flow);
  while (flow->last_epoch != 0);
  printf("    %s: alone after %.3f s and %llu frames\n", what, seconds() - begin,
         (unsigned long long)(flow->answered - before));
}

static void until_back(struct rig_flow *flow, const char *what) {
  double begin = seconds();
  uint64_t before = flow->answered;
  do rig_flow_step(flow);
  while (flow->last_epoch == 0);
  printf("    %s: back after %.3f s and %llu frames\n", what, seconds() - begin,
         (unsigned long long)(flow->answered - before));
}

static void end_edge(struct rig_flow *flow, uint64_t reconnects) {
  rig_flow_end(flow);
  struct braid_edge_stats stats;
  braid_edge_stats(flow->edge, &stats);
  CHECK(stats.fallbacks >= reconnects && stats.reconnects >= reconnects, "%d times alone, %d times back",
        (int)stats.fallbacks, (int)stats.reconnects);
  braid_edge_stop(&flow->edge);
}

/* ------------------------------------------------------------------------------------------------------- cases */

static void killed(struct world *w) {
  enum { TIMES = 3 };
  rig_case("the cloud is killed in mid-frame and started again", 120);
  char address[128] = "tcp://127.0.0.1:0";
  struct rig_flow flow;
  const struct spare *cloud = start_cloud(w, address);
  start_edge(w, address, &flow);
  for (int i = 0; i < TIMES; i++) {
    until_back(&flow, "cloud started");
    kill_cloud(cloud);
    until_alone(&flow, "cloud killed");
    cloud = start_cloud(w, address);
  }
  until_back(&flow, "cloud started");
  end_edge(&flow, TIMES);
  kill_cloud(cloud);
}

static void frozen(struct world *w) {
  rig_case("the cloud freezes and goes on", 120);
  char address[128] = "tcp://127.0.0.1:0";
  struct rig_flow flow;
  const struct spare *cloud = start_cloud(w, address);
  start_edge(w, address, &flow);
  until_back(&flow, "cloud started");
  kill(cloud->pid, SIGSTOP);
  until_alone(&flow, "cloud frozen");
  kill(cloud->pid, SIGCONT);
  until_back(&flow, "cloud goes on");
  end_edge(&flow, 1);
  kill_cloud(cloud);
}

/* An impostor has the model's name and another network. */
static void replaced(struct world *w) {
  rig_case("the cloud comes back with another network", 120);
  char address[128] = "tcp://127.0.0.1:0";
  struct rig_flow flow;
  const struct spare *cloud = start_cloud(w, address);
  start_edge(w, address, &flow);
  until_back(&flow, "cloud started");
  kill_cloud(cloud);
  until_alone(&flow, "cloud killed");
  cloud = start_cloud(w, address);
  char refused;
  CHECK(fcntl(cloud->said, F_SETFL, O_NONBLOCK) == 0, "pipe");
  while (read(cloud->said, &refused, 1) != 1) rig_flow_step(&flow);
  for (int i = 0; i < 20; i++) rig_flow_step(&flow);
  CHECK(flow.last_epoch == 0, "a plan was agreed on over another network");
  kill_cloud(cloud);
  end_edge(&flow, 0);
}

/* ----------------------------------------------------------------------------------------------------- the link */

static void cut(struct world *w) {
  rig_case("the link is cut", 120);
  char address[128] = "tcp://127.0.0.1:0";
  const struct spare *cloud = start_cloud(w, address);
  struct emulator e;
  CHECK(emulator_start(address, &e), "the emulator does not start");
  struct rig_flow flow;
  start_edge(w, e.address, &flow);
  until_back(&flow, "cloud started");
  CHECK(emulator_say(&e, "cut 300ms"), "the emulator does not cut");
  until_alone(&flow, "link cut");
  until_back(&flow, "link mended");
  end_edge(&flow, 1);
  emulator_stop(&e);
  kill_cloud(cloud);
}

int main(void) {
  struct world w = {.graph = rig_graph(42, 16, RANDOM_GRAPH_WEIGHTS), .other = rig_graph(43, 16, RANDOM_GRAPH_WEIGHTS)};
  w.plan = rig_plan_all(w.graph, BRAID_CLOUD);
  rig_case("clouds are made", 60);
  enum { IMPOSTOR = 1 };
  for (int i = 0; i < SPARES; i++) make_spare(&w, i, i == IMPOSTOR);
  w.sample = rig_sample(w.graph, 1);
  replaced(&w);
  killed(&w);
  frozen(&w);
  cut(&w);
  CHECK(w.n_used == SPARES, "%d of %d clouds were used", w.n_used, SPARES);
  rig_sample_free(w.sample);
  braid_plan_destroy(&w.plan);
  braid_graph_destroy(&w.graph);
  braid_graph_destroy(&w.other);
  rig_done();
  return 0;
}
