/* SPDX-License-Identifier: Apache-2.0
 * A long day in short: frames flow through a link emulator to a real `braid cloud`, while a disturber kills and starts
 * the cloud, freezes it, cuts, freezes and slows the link, and changes plans, and while guests throw bytes and messages
 * at the cloud's port and misbehave as edges. Every frame is answered once, in order, bit for bit as one machine
 * answers.
 *
 *   test_chaos [FRAMES [SECONDS]]     as many frames and at least so long; both few when run as a test
 *
 * How long it took to go on and to come back is printed; nothing depends on it. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chaos_guests.h"
#include "cloud_process.h"
#include "emulator.h"
#include "random_graph.h"

#define HEARTBEAT "400ms" /* long enough for a busy machine */
#define HEARTBEAT_NS (INT64_C(400) * 1000 * 1000)
#define MS INT64_C(1000000)
#define FRAME_NS (2 * MS)
enum { WINDOW = 6, GUESTS = 2, PLANS = 4, SAMPLES = 3, NODES = 16 };

/* Times of something that happened again and again. */
struct times {
  int n;
  int64_t max_ns, sum_ns;
};

enum fault { KILL, FREEZE_CLOUD, CUT, FREEZE_LINK, SLOW, REPLAN, FAULTS };
static const char *const fault_name[FAULTS] = {"cloud killed", "cloud frozen", "link cut",
                                               "link frozen",  "link slowed",  "plan changed"};

struct world {
  char dir[64];
  uint64_t seed, at; /* disturber */
  struct braid_graph *graph;
  struct braid_plan *plan[PLANS];
  struct rig_sample *sample[SAMPLES];
  struct emulator link;
  struct cloud_process cloud;
  pid_t guest[GUESTS];
  struct rig_flow flow;
  atomic_bool done;
  int count[FAULTS];
  /* What the disturber tells the flow, which times it: answers that there must be until all that was in flight when
   * the cloud died is over (0: nothing to wait for), and when the cloud was there again (0: it is back in use). */
  _Atomic uint64_t answered, over_at;
  _Atomic int64_t died_ns, started_ns;
  struct times gone, back;
};
static struct world w;

static int64_t now_ns(void) {
  struct braid_clock clock = braid_clock_monotonic();
  return braid_now_ns(&clock);
}

static void add_time(struct times *t, int64_t ns) {
  t->n++;
  t->sum_ns += ns;
  if (ns > t->max_ns) t->max_ns = ns;
}

/* ------------------------------------------------------------------------------------------------ processes */

static void make_network(void) {
  struct braid_graph *made = rig_graph(w.seed, NODES, RANDOM_GRAPH_WEIGHTS);
  char path[128];
  snprintf(path, sizeof path, "%s/net.onnx", w.dir);
  MUST(braid_onnx_save(made, path));
  braid_graph_destroy(&made);
  MUST(braid_model_open(path, &(struct braid_open_opts){0}, &w.graph)); /* as the cloud will */
  w.plan[0] = rig_plan_all(w.graph, BRAID_CLOUD);
  for (int i = 1; i < PLANS; i++) w.plan[i] = rig_plan(w.graph, w.seed + (uint64_t)i, i % 2 == 0);
}

static int fork_guest(int i) {
  int go[2];
  CHECK(pipe2(go, O_CLOEXEC) == 0, "pipe");
  fflush(stdout);
  w.guest[i] = fork();
  CHECK(w.guest[i] >= 0, "fork");
  if (w.guest[i] == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    chaos_guest(go[0], w.seed + 77 + (uint64_t)i, w.graph, w.plan[0]);
  }
  close(go[0]);
  return go[1];
}

/* At the address of the one before. */
static void start_cloud(const char *address) {
  char at[128];
  snprintf(at, sizeof at, "%s", address);
  CHECK(cloud_process_start(at, w.dir, HEARTBEAT, &w.cloud), "the cloud does not start");
}

static void end_child(pid_t pid) {
  int status;
  kill(pid, SIGKILL);
  CHECK(waitpid(pid, &status, 0) == pid, "a child has gone by itself");
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a child ended by itself (status %x)", status);
}

/* ------------------------------------------------------------------------------------------------- disturber */

static uint64_t draw(uint64_t n) {
  return braid_random_u64(w.seed, w.at++) % n;
}

static void rest_ms(uint64_t ms) {
  for (uint64_t i = 0; i < ms / 10 && !atomic_load(&w.done); i++)
    nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
  char command[64];
  va_list args;
  va_start(args, format);
  vsnprintf(command, sizeof command, format, args);
  va_end(args);
  CHECK(emulator_say(&w.link, command), "the emulator refuses '%s'", command);
}

static void kill_cloud(void) {
  atomic_store(&w.died_ns, now_ns());
  atomic_store(&w.over_at, atomic_load(&w.answered) + WINDOW + 1);
  CHECK(cloud_process_kill(&w.cloud), "the cloud has ended by itself");
  rest_ms(draw(1000));
  start_cloud(w.cloud.address);
  atomic_store(&w.started_ns, now_ns());
}

static void freeze_cloud(void) {
  kill(w.cloud.pid, SIGSTOP);
  rest_ms(50 + draw(1500));
  kill(w.cloud.pid, SIGCONT);
}

static void slow_link(void) {
  say("up %llukbit", 1000ULL * (1 + draw(100)));
  say("down %llukbit", 1000ULL * (1 + draw(100)));
  say("rtt %llums", (unsigned long long)draw(30));
  rest_ms(300 + draw(1500));
  say("up 100mbit");
  say("down 100mbit");
  say("rtt 4ms");
}

/* Without a cloud there is nobody to agree with; all else would be a fault. */
static void replan(void) {
  enum braid_status status = braid_edge_replan(w.flow.edge, w.plan[draw(PLANS)]);
  CHECK(status == BRAID_OK || status == BRAID_ECLOSED || status == BRAID_ETIMEDOUT, "%s", braid_error());
}

static void disturb(enum fault fault) {
  w.count[fault]++;
  switch (fault) {
  case KILL:
    kill_cloud();
    break;
  case FREEZE_CLOUD:
    freeze_cloud();
    break;
  case CUT:
    say("cut %llums", 20 + (unsigned long long)draw(800));
    break;
  case FREEZE_LINK:
    say("freeze %llums", 20 + (unsigned long long)draw(1500));
    break;
  case SLOW:
    slow_link();
    break;
  default:
    replan();
  }
}

/* Every fault once, then any. */
static void *disturber(void *unused) {
  (void)unused;
  for (int i = 0; !atomic_load(&w.done); i++) {
    rest_ms(200 + draw(1300));
    if (!atomic_load(&w.done)) disturb(i < FAULTS ? (enum fault)i : (enum fault)draw(FAULTS));
  }
  return NULL;
}

static bool all_faults_seen(void) {
  for (int i = 0; i < FAULTS; i++)
    if (w.count[i] == 0) return false;
  return true;
}

/* ------------------------------------------------------------------------------------------------------ flow */

static void time_answer(void) {
  int64_t now = now_ns();
  uint64_t over_at = atomic_load(&w.over_at);
  if (over_at > 0 && w.flow.answered >= over_at) {
    add_time(&w.gone, now - atomic_load(&w.died_ns));
    atomic_store(&w.over_at, 0);
  }
  int64_t started = atomic_load(&w.started_ns);
  if (started > 0 && w.flow.last_epoch != 0) {
    add_time(&w.back, now - started);
    atomic_store(&w.started_ns, 0);
  }
}

static void show(uint64_t frames, int64_t begin_ns) {
  struct braid_edge_stats s;
  struct rusage usage;
  braid_edge_stats(w.flow.edge, &s);
  getrusage(RUSAGE_SELF, &usage);
  printf("    %llu of %llu frames after %.0f s, %llu of them without a cloud; %llu times alone, %llu times back; %ld "
         "MiB\n",
         (unsigned long long)s.answered, (unsigned long long)frames, (double)(now_ns() - begin_ns) / 1e9,
         (unsigned long long)s.alone, (unsigned long long)s.fallbacks, (unsigned long long)s.reconnects,
         usage.ru_maxrss / 1024);
  fflush(stdout);
}

/* A camera: frames come at a steady rate, so that most of them meet a cloud, however fast the edge is alone. */
static void await_frame(int64_t begin_ns) {
  int64_t due_ns = begin_ns + (int64_t)w.flow.submitted * FRAME_NS, now = now_ns();
  if (due_ns > now) nanosleep(&(struct timespec){.tv_nsec = (long)(due_ns - now)}, NULL);
}

static void flow(uint64_t frames, int64_t for_ns) {
  int64_t begin = now_ns(), shown = begin;
  for (;;) {
    uint64_t before = w.flow.answered;
    await_frame(begin);
    rig_flow_step(&w.flow);
    if (w.flow.answered == before) continue;
    atomic_store(&w.answered, w.flow.answered);
    time_answer();
    if (now_ns() - shown > 10 * 1000 * MS) {
      shown = now_ns();
      show(frames, begin);
    }
    if (w.flow.answered >= frames && now_ns() - begin >= for_ns && all_faults_seen()) break;
  }
  atomic_store(&w.done, true);
  rig_flow_end(&w.flow);
  show(frames, begin);
}

/* ------------------------------------------------------------------------------------------------------ all */

static void start_edge(void) {
  struct braid_edge_opts opts = {.connect = w.link.address,
                                 .model = "net",
                                 .threads = 1,
                                 .plan = w.plan[0],
                                 .window = WINDOW,
                                 .heartbeat_ns = HEARTBEAT_NS};
  w.flow = (struct rig_flow){.sample = w.sample, .n_samples = SAMPLES, .window = WINDOW};
  MUST(braid_edge_start(w.graph, &opts, &w.flow.edge));
}

static void set_up(void) {
  int go[GUESTS];
  snprintf(w.dir, sizeof w.dir, "/tmp/braid-chaos-XXXXXX");
  CHECK(mkdtemp(w.dir), "no temporary folder");
  make_network();
  for (int i = 0; i < GUESTS; i++) go[i] = fork_guest(i);
  start_cloud("tcp://127.0.0.1:0");
  for (int i = 0; i < GUESTS; i++)
    CHECK(write(go[i], w.cloud.address, sizeof w.cloud.address) == sizeof w.cloud.address, "pipe");
  for (int i = 0; i < SAMPLES; i++) w.sample[i] = rig_sample(w.graph, (uint64_t)i + 1);
  CHECK(emulator_start(w.cloud.address, &w.link), "the emulator does not start");
  say("up 100mbit");
  say("down 100mbit");
  say("rtt 4ms");
  start_edge();
}

static void tear_down(void) {
  char path[128];
  braid_edge_stop(&w.flow.edge);
  emulator_stop(&w.link);
  for (int i = 0; i < GUESTS; i++) end_child(w.guest[i]);
  CHECK(cloud_process_kill(&w.cloud), "the cloud has ended by itself");
  for (int i = 0; i < SAMPLES; i++) rig_sample_free(w.sample[i]);
  for (int i = 0; i < PLANS; i++) braid_plan_destroy(&w.plan[i]);
  braid_graph_destroy(&w.graph);
  snprintf(path, sizeof path, "%s/net.onnx", w.dir);
  unlink(path);
  rmdir(w.dir);
}

static void report(void) {
  printf("    ");
  for (int i = 0; i < FAULTS; i++) printf("%s %d, ", fault_name[i], w.count[i]);
  printf("%d guests all the time\n", GUESTS);
  if (w.gone.n)
    printf("    cloud killed: all in flight answered after %.0f ms in the mean, %.0f at most (2 heartbeats: %.0f)\n",
           (double)w.gone.sum_ns / w.gone.n / 1e6, (double)w.gone.max_ns / 1e6, 2 * (double)HEARTBEAT_NS / 1e6);
  if (w.back.n)
    printf("    cloud started: used again after %.0f ms in the mean, %.0f at most, other faults meanwhile included\n",
           (double)w.back.sum_ns / w.back.n / 1e6, (double)w.back.max_ns / 1e6);
}

int main(int argc, char **argv) {
  uint64_t frames = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000;
  int64_t seconds = argc > 2 ? strtoll(argv[2], NULL, 10) : 10;
  pthread_t thread;
  w.seed = random_graph_seed(11);
  rig_case("frames through faults", (int)(240 + 3 * seconds + (int64_t)frames / 50));
  set_up();
  CHECK(pthread_create(&thread, NULL, disturber, NULL) == 0, "no thread");
  flow(frames, seconds * 1000 * MS);
  pthread_join(thread, NULL);
  report();
  tear_down();
  rig_done();
  return 0;
}
