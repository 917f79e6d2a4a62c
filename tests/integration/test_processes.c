/* SPDX-License-Identifier: Apache-2.0
 * An edge and a cloud in two processes, and the one that is killed or stopped in mid-run: the other one says so, at the
 * latest after two heartbeats (at once, when the kernel tells), and ends what was in flight. */
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "random_graph.h"
#include "session_rig.h"

/* Long enough for a busy machine, short enough to wait for two. */
#define HEARTBEAT_NS (INT64_C(400) * 1000 * 1000)

struct world {
  struct braid_graph *graph;
  struct braid_plan *plan;
  struct rig_sample *sample;
};

static pid_t fork_child(void) {
  fflush(stdout);
  pid_t child = fork();
  CHECK(child >= 0, "fork");
  if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
  return child;
}

static void end_child(pid_t child) {
  int status;
  kill(child, SIGKILL);
  CHECK(waitpid(child, &status, 0) == child, "the child is gone");
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended by itself (status %x)", status);
}

/* -------------------------------------------------------------------------------------------- the cloud as a child */

static pid_t fork_cloud(const struct world *w, char *address, size_t size) {
  int ends[2];
  CHECK(pipe(ends) == 0, "pipe");
  pid_t child = fork_child();
  if (child == 0) {
    struct braid_cloud_opts opts = {.heartbeat_ns = HEARTBEAT_NS};
    const struct rig_cloud *cloud = rig_cloud_start("tcp", w->graph, &opts);
    CHECK(write(ends[1], cloud->address, sizeof cloud->address) > 0, "pipe");
    for (;;) pause();
  }
  CHECK(read(ends[0], address, size) > 0, "the cloud does not start");
  close(ends[0]);
  close(ends[1]);
  return child;
}

static struct braid_edge *start_edge(const struct world *w, const char *address) {
  struct braid_edge_opts opts = {.connect = address,
                                 .model = "net",
                                 .threads = 2,
                                 .plan = w->plan,
                                 .window = 3,
                                 .heartbeat_ns = HEARTBEAT_NS,
                                 .fallback = BRAID_FALLBACK_OFF};
  struct braid_edge *edge;
  MUST(braid_edge_start(w->graph, &opts, &edge));
  return edge;
}

/* Goes on until the link breaks; every frame was answered or lost. */
static void run_until_broken(struct braid_edge *edge, const struct rig_sample *sample, const char *why) {
  enum braid_status status = BRAID_OK;
  struct braid_answer *answer;
  struct braid_edge_stats stats;
  braid_edge_stats(edge, &stats);
  uint64_t submitted = stats.frames, answered = stats.answered;
  while (status == BRAID_OK) {
    if (submitted < answered + 3) {
      status = braid_edge_submit(edge, submitted, sample->in, sample->n_in);
      submitted += status == BRAID_OK;
    } else if ((status = braid_edge_wait(edge, -1, &answer)) == BRAID_OK) {
      braid_answer_destroy(&answer);
      answered++;
    }
  }
  CHECK(status == BRAID_ECLOSED, "%s", braid_error());
  CHECK(strstr(braid_error(), why), "%s", braid_error());
  while (braid_edge_wait(edge, -1, &answer) == BRAID_OK) {
    braid_answer_destroy(&answer);
    answered++;
  }
  braid_edge_stats(edge, &stats);
  CHECK(stats.frames == submitted && stats.answered == answered && stats.lost == submitted - answered,
        "frames %d, answered %d, lost %d", (int)stats.frames, (int)stats.answered, (int)stats.lost);
}

static void cloud_disappears(const struct world *w, const char *name, int signal_number, const char *why) {
  rig_case(name, 60);
  char address[128];
  pid_t cloud = fork_cloud(w, address, sizeof address);
  struct braid_edge *edge = start_edge(w, address);
  rig_run_frames(edge, &w->sample, 1, 10, 3);
  kill(cloud, signal_number);
  run_until_broken(edge, w->sample, why);
  braid_edge_stop(&edge);
  end_child(cloud);
}

/* ---------------------------------------------------------------------------------------------- the edge as a child */

static void edge_for_ever(const struct world *w, int address_fd, int ready_fd) {
  char address[128];
  CHECK(read(address_fd, address, sizeof address) > 0, "pipe");
  struct braid_edge *edge = start_edge(w, address);
  for (;;) {
    rig_run_frames(edge, &w->sample, 1, 10, 3);
    if (write(ready_fd, "x", 1) != 1) _exit(1);
  }
}

static void edge_disappears(const struct world *w, const char *name, int signal_number, const char *event) {
  rig_case(name, 60);
  int to_child[2], to_parent[2];
  CHECK(pipe(to_child) == 0 && pipe(to_parent) == 0, "pipe");
  pid_t edge = fork_child();
  if (edge == 0) edge_for_ever(w, to_child[0], to_parent[1]);
  struct braid_cloud_opts opts = {.heartbeat_ns = HEARTBEAT_NS};
  struct rig_cloud *cloud = rig_cloud_start("tcp", w->graph, &opts);
  char ready;
  CHECK(write(to_child[1], cloud->address, sizeof cloud->address) > 0 && read(to_parent[0], &ready, 1) == 1, "pipe");
  kill(edge, signal_number);
  rig_cloud_await(cloud, "lost", event);
  rig_cloud_stop(cloud);
  end_child(edge);
  for (int i = 0; i < 2; i++) {
    close(to_child[i]);
    close(to_parent[i]);
  }
}

int main(void) {
  struct world w = {.graph = rig_graph(42, 16, RANDOM_GRAPH_WEIGHTS)};
  w.plan = rig_plan_all(w.graph, BRAID_CLOUD);
  w.sample = rig_sample(w.graph, 1);
  edge_disappears(&w, "the edge process is killed", SIGKILL, "connection lost");
  edge_disappears(&w, "the edge process is stopped", SIGSTOP, "nothing heard for");
  cloud_disappears(&w, "the cloud process is killed", SIGKILL, "connection lost");
  cloud_disappears(&w, "the cloud process is stopped", SIGSTOP, "fell silent");
  rig_sample_free(w.sample);
  braid_plan_destroy(&w.plan);
  braid_graph_destroy(&w.graph);
  rig_done();
  return 0;
}
