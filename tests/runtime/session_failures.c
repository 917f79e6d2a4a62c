/* SPDX-License-Identifier: Apache-2.0
 * Things that go wrong without ill will: nobody there, another network, a side that stops or freezes in mid-run. Each
 * ends in a message that says what and what to do, and never in a hang. */
#include <stdatomic.h>
#include <semaphore.h>
#include <string.h>

#include "random_graph.h"
#include "session_rig.h"
#include "session_suite.h"

static void expect_start(const struct braid_graph *graph, const struct braid_edge_opts *opts, enum braid_status wanted,
                         const char *part) {
  struct braid_edge *edge = NULL;
  enum braid_status status = braid_edge_start(graph, opts, &edge);
  CHECK(status == wanted, "%s: %s", braid_status_text(status), status == BRAID_OK ? "it started" : braid_error());
  CHECK(strstr(braid_error(), part), "the message does not say '%s': %s", part, braid_error());
  CHECK(!edge, "an edge in spite of failure");
}

static void nobody_there(const char *scheme, const struct braid_graph *graph) {
  rig_case("nobody there", 30);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  const char *address = strcmp(scheme, "tcp") == 0 ? "tcp://127.0.0.1:1" : "inproc://nobody";
  struct braid_edge_opts opts = {
      .connect = address, .threads = 1, .plan = plan, .window = 1, .connect_timeout_ns = 50 * 1000 * 1000};
  expect_start(graph, &opts, BRAID_ETIMEDOUT, address);
  expect_start(graph, &opts, BRAID_ETIMEDOUT, "braid cloud");
  braid_plan_destroy(&plan);
}

static void disagreements(const char *scheme, const struct braid_graph *graph) {
  rig_case("unknown model, another network, no room", 30);
  struct braid_graph *other = rig_graph(78, 9, RANDOM_GRAPH_WEIGHTS);
  struct braid_plan *plan = rig_plan_all(other, BRAID_CLOUD), *mine = rig_plan_all(graph, BRAID_CLOUD);
  struct braid_cloud_opts cloud_opts = {.max_sessions = 1};
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, &cloud_opts);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, 1);
  expect_start(other, &opts, BRAID_EMISMATCH, "both must load the same file");
  opts.model = "nonesuch";
  expect_start(other, &opts, BRAID_ECLOSED, "model 'nonesuch' is not served here");
  opts = rig_edge_opts(cloud, mine, 65);
  expect_start(graph, &opts, BRAID_EINVAL, "window");
  opts.window = 1;
  struct braid_edge *edge;
  MUST(braid_edge_start(graph, &opts, &edge));
  expect_start(graph, &opts, BRAID_ECLOSED, "serves 1 edges already");
  braid_edge_stop(&edge);
  rig_cloud_stop(cloud);
  cloud_opts = (struct braid_cloud_opts){.memory_bytes = 1};
  cloud = rig_cloud_start(scheme, graph, &cloud_opts);
  opts = rig_edge_opts(cloud, mine, 1);
  expect_start(graph, &opts, BRAID_ECLOSED, "--memory");
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
  braid_plan_destroy(&mine);
  braid_graph_destroy(&other);
}

/* The limit is on what sessions add; the weights are the model's, which the cloud has anyway. */
static void memory_limit_counts_arenas(const char *scheme) {
  rig_case("room for the arenas of two sessions, not for three", 30);
  enum { WINDOW = 2 };
  struct braid_graph *graph = rig_graph(78, 30, RANDOM_GRAPH_WEIGHTS);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  struct braid_pool *pool;
  struct braid_program *program;
  struct braid_program_info info;
  MUST(braid_pool_create(&(struct braid_pool_opts){.workers = 2}, &pool));
  struct braid_program_opts program_opts = {.here = BRAID_CLOUD, .frames = WINDOW};
  MUST(braid_program_create(pool, graph, plan, &program_opts, &program));
  braid_program_info(program, &info);
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
  struct braid_cloud_opts cloud_opts = {.memory_bytes = info.packed_bytes + 2 * WINDOW * info.arena_bytes};
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, &cloud_opts);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, WINDOW);
  struct braid_edge *edge[2];
  for (int i = 0; i < 2; i++) MUST(braid_edge_start(graph, &opts, &edge[i]));
  expect_start(graph, &opts, BRAID_ECLOSED, "--memory");
  for (int i = 0; i < 2; i++) braid_edge_stop(&edge[i]);
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
  braid_graph_destroy(&graph);
}

static void wrong_inputs(const char *scheme, const struct braid_graph *graph) {
  rig_case("inputs that do not fit; waiting for nothing", 30);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct rig_sample *sample = rig_sample(graph, 3);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, 2);
  struct braid_edge *edge;
  MUST(braid_edge_start(graph, &opts, &edge));
  CHECK(braid_edge_submit(edge, 1, sample->in, sample->n_in + 1) == BRAID_EINVAL, "one input too many is accepted");
  struct braid_tensor bad = sample->in[0];
  bad.dtype = BRAID_F64;
  CHECK(braid_edge_submit(edge, 1, &bad, 1) == BRAID_ESHAPE, "another type is accepted");
  struct braid_answer *answer = NULL;
  CHECK(braid_edge_wait(edge, 1000, &answer) == BRAID_ETIMEDOUT && !answer, "an answer to no question");
  rig_run_frames(edge, &sample, 1, 3, 2);
  braid_edge_stop(&edge);
  rig_cloud_stop(cloud);
  rig_sample_free(sample);
  braid_plan_destroy(&plan);
}

/* ------------------------------------------------------------------------------------- the cloud stops in mid-run */

struct stopping {
  struct rig_cloud *cloud;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  int answers;
};

static void *stopper(void *arg) {
  struct stopping *s = arg;
  pthread_mutex_lock(&s->mutex);
  while (s->answers < 5) pthread_cond_wait(&s->changed, &s->mutex);
  pthread_mutex_unlock(&s->mutex);
  rig_cloud_stop(s->cloud);
  return NULL;
}

static void count_answer(struct stopping *s) {
  pthread_mutex_lock(&s->mutex);
  s->answers++;
  pthread_cond_signal(&s->changed);
  pthread_mutex_unlock(&s->mutex);
}

/* Frames without end, until the link breaks; then every frame is answered or lost, and every call says why. */
static void run_until_broken(struct braid_edge *edge, const struct rig_sample *sample, struct stopping *s) {
  uint64_t submitted = 0, answered = 0;
  enum braid_status status = BRAID_OK;
  struct braid_answer *answer = NULL;
  while (status == BRAID_OK) {
    if (submitted < answered + 4) {
      status = braid_edge_submit(edge, submitted, sample->in, sample->n_in);
      submitted += status == BRAID_OK;
    } else if ((status = braid_edge_wait(edge, -1, &answer)) == BRAID_OK) {
      rig_check_answer(sample, answer);
      braid_answer_destroy(&answer);
      answered++;
      count_answer(s);
    }
  }
  CHECK(status == BRAID_ECLOSED, "%s", braid_error());
  CHECK(strstr(braid_error(), "start it again"), "no remedy: %s", braid_error());
  while ((status = braid_edge_wait(edge, -1, &answer)) == BRAID_OK) {
    braid_answer_destroy(&answer);
    answered++;
  }
  CHECK(status == BRAID_ECLOSED, "%s", braid_error());
  struct braid_edge_stats stats;
  braid_edge_stats(edge, &stats);
  CHECK(stats.frames == submitted && stats.answered == answered && stats.lost == submitted - answered,
        "frames %llu answered %llu lost %llu", (unsigned long long)stats.frames, (unsigned long long)stats.answered,
        (unsigned long long)stats.lost);
}

static void cloud_stops(const char *scheme, const struct braid_graph *graph) {
  rig_case("the cloud stops in mid-run", 60);
  struct stopping s = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
  s.cloud = rig_cloud_start(scheme, graph, NULL);
  struct braid_plan *plan = rig_plan(graph, 4, false);
  struct rig_sample *sample = rig_sample(graph, 9);
  struct braid_edge_opts opts = rig_edge_opts(s.cloud, plan, 4);
  opts.heartbeat_ns = 500 * 1000 * 1000;
  struct braid_edge *edge;
  MUST(braid_edge_start(graph, &opts, &edge));
  pthread_t thread;
  pthread_create(&thread, NULL, stopper, &s);
  run_until_broken(edge, sample, &s);
  pthread_join(thread, NULL);
  braid_edge_stop(&edge);
  rig_sample_free(sample);
  braid_plan_destroy(&plan);
}

/* ------------------------------------------------------------------------------------------- edges that go away */

/* Sends part of a frame, as an edge in mid-run would. */
static void send_some_rows(struct braid_link *link, const struct braid_graph *graph) {
  int n;
  int input = braid_graph_inputs(graph, &n)[0];
  const struct braid_node *node = braid_graph_node(graph, input);
  size_t bytes = braid_band_bytes(&node->shape, node->dtype, (struct braid_band){0, 1});
  struct braid_msg msg = {
      .type = BRAID_MSG_DATA, .epoch = 1, .frame = 1, .node = (uint32_t)input, .begin = 0, .end = 1};
  rig_raw_send(link, 0, msg, NULL, bytes);
}

static void edge_stops(const char *scheme, const struct braid_graph *graph) {
  rig_case("an edge stops with frames in flight", 60);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  struct rig_sample *sample = rig_sample(graph, 2);
  for (int i = 0; i < 10; i++) {
    struct braid_edge_opts opts = rig_edge_opts(cloud, plan, 4);
    struct braid_edge *edge;
    MUST(braid_edge_start(graph, &opts, &edge));
    for (uint64_t k = 0; k < 4; k++) MUST(braid_edge_submit(edge, k, sample->in, sample->n_in));
    braid_edge_stop(&edge);
  }
  rig_cloud_await(cloud, "left", "edge");
  rig_cloud_stop(cloud);
  rig_sample_free(sample);
  braid_plan_destroy(&plan);
}

static void edge_freezes(const char *scheme, const struct braid_graph *graph) {
  rig_case("an edge freezes in mid-frame", 60);
  struct braid_cloud_opts opts = {.heartbeat_ns = 30 * 1000 * 1000};
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, &opts);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  struct braid_link *link = rig_raw_connect(cloud->address);
  rig_raw_hello(link, graph);
  rig_raw_agree(link, graph, plan, 1, 2);
  send_some_rows(link, graph);
  rig_cloud_await(cloud, "lost", "nothing heard for"); /* this thread answers no PING meanwhile */
  rig_raw_expect_refusal(link, "nothing heard for");
  braid_link_close(&link);
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
}

static void edge_vanishes(const char *scheme, const struct braid_graph *graph) {
  rig_case("an edge vanishes in mid-frame", 60);
  struct braid_cloud_opts opts = {.heartbeat_ns = 100 * 1000 * 1000};
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, &opts);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  struct braid_link *link = rig_raw_connect(cloud->address);
  rig_raw_hello(link, graph);
  rig_raw_agree(link, graph, plan, 1, 2);
  send_some_rows(link, graph);
  braid_link_close(&link);
  rig_cloud_await(cloud, "lost", "edge");
  rig_cloud_stop(cloud);
  braid_plan_destroy(&plan);
}

/* ------------------------------------------------------------------------------------- a cloud that breaks the rules
 */

struct fake_cloud {
  struct braid_link *link;
  void (*play)(struct fake_cloud *fake, braid_peer peer);
  pthread_t thread;
};

static void expect_from(struct fake_cloud *fake, enum braid_msg_type type, braid_peer *peer) {
  struct braid_msg msg = rig_raw_recv(fake->link, peer);
  CHECK(msg.type == type, "the edge sends type %d where %d is expected", (int)msg.type, (int)type);
  braid_msg_release(&msg);
}

static void *play(void *arg) {
  struct fake_cloud *fake = arg;
  braid_peer peer;
  expect_from(fake, BRAID_MSG_HELLO, &peer);
  fake->play(fake, peer);
  struct braid_msg msg = rig_raw_recv(fake->link, &peer); /* the edge leaves, one way or another */
  while (msg.type == BRAID_MSG_DATA) {
    braid_msg_release(&msg);
    msg = rig_raw_recv(fake->link, &peer);
  }
  CHECK(msg.type == BRAID_MSG_REFUSE || msg.type == BRAID_MSG_BYE, "the edge sends type %d at last", (int)msg.type);
  braid_msg_release(&msg);
  return NULL;
}

static void welcome_garbage(struct fake_cloud *fake, braid_peer peer) {
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_WELCOME, .node = 1}, "{\"nodes\":[[[", 11);
}

static void welcome_without_workers(struct fake_cloud *fake, braid_peer peer) {
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_WELCOME}, NULL, 0);
}

static void credit_for_nothing(struct fake_cloud *fake, braid_peer peer) {
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_ACK, .frame = 1}, NULL, 0);
}

static void refuse_with_control_characters(struct fake_cloud *fake, braid_peer peer) {
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_REFUSE, .begin = BRAID_EIO}, "no\033[2J\0you",
               10);
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_BYE}, NULL, 0);
}

static void rules_broken_at_start(const char *scheme, const struct braid_graph *graph) {
  rig_case("a cloud that breaks the rules at the start", 60);
  static const struct {
    void (*play)(struct fake_cloud *fake, braid_peer peer);
    const char *part;
  } turns[] = {
      {welcome_garbage, "profile from cloud"},
      {welcome_without_workers, "WELCOME with 0 workers"},
      {credit_for_nothing, "credit for 1 bytes"},
  };
  struct braid_link_opts listen = {.listen = true};
  for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
    struct fake_cloud fake = {.play = turns[i].play};
    MUST(braid_link_open(strcmp(scheme, "tcp") == 0 ? "tcp://127.0.0.1:0" : "inproc://fake", &listen, &fake.link));
    pthread_create(&fake.thread, NULL, play, &fake);
    struct braid_edge_opts opts = {.connect = braid_link_address(fake.link), .threads = 1};
    struct braid_edge *edge = NULL;
    CHECK(braid_edge_start(graph, &opts, &edge) != BRAID_OK, "it started");
    CHECK(strstr(braid_error(), turns[i].part), "the message does not say '%s': %s", turns[i].part, braid_error());
    pthread_join(fake.thread, NULL);
    braid_link_close(&fake.link);
  }
}

static void refusal_is_printable(const char *scheme, const struct braid_graph *graph) {
  rig_case("a refusal is made printable", 60);
  struct fake_cloud fake = {.play = refuse_with_control_characters};
  struct braid_link_opts listen = {.listen = true};
  MUST(braid_link_open(strcmp(scheme, "tcp") == 0 ? "tcp://127.0.0.1:0" : "inproc://fake", &listen, &fake.link));
  struct braid_edge_opts opts = {.connect = braid_link_address(fake.link), .threads = 1};
  pthread_create(&fake.thread, NULL, play, &fake);
  expect_start(graph, &opts, BRAID_ECLOSED, "refused: no?[2J?you");
  struct braid_link *end = rig_raw_connect(braid_link_address(fake.link)); /* the player still waits for a last word */
  rig_raw_send(end, 0, (struct braid_msg){.type = BRAID_MSG_BYE}, NULL, 0);
  pthread_join(fake.thread, NULL);
  braid_link_close(&end);
  braid_link_close(&fake.link);
}

static void agree_with(struct fake_cloud *fake, braid_peer peer) {
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_WELCOME, .node = 1}, NULL, 0);
  expect_from(fake, BRAID_MSG_PLAN, &peer);
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_PLAN_OK, .epoch = 1}, NULL, 0);
}

/* Of a frame that is not there; where the plan delivers at home: of a plan that has none to deliver. */
static void delivered_out_of_turn(struct fake_cloud *fake, braid_peer peer) {
  agree_with(fake, peer);
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_DELIVERED, .epoch = 1, .frame = 7}, NULL, 0);
}

static void data_out_of_turn(struct fake_cloud *fake, braid_peer peer) {
  agree_with(fake, peer);
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_DATA, .epoch = 1, .frame = 7, .end = 1}, NULL, 4);
}

static void rules_broken_later(const char *scheme, const struct braid_graph *graph,
                               void (*turn)(struct fake_cloud *, braid_peer), enum braid_site deliver) {
  rig_case("a cloud that breaks the rules in mid-run", 60);
  struct fake_cloud fake = {.play = turn};
  struct braid_link_opts listen = {.listen = true};
  MUST(braid_link_open(strcmp(scheme, "tcp") == 0 ? "tcp://127.0.0.1:0" : "inproc://fake", &listen, &fake.link));
  pthread_create(&fake.thread, NULL, play, &fake);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  plan->deliver = deliver;
  struct braid_edge_opts opts = {.connect = braid_link_address(fake.link),
                                 .threads = 1,
                                 .plan = plan,
                                 .window = 1,
                                 .fallback = BRAID_FALLBACK_OFF};
  struct braid_edge *edge = NULL;
  enum braid_status status =
      braid_edge_start(graph, &opts, &edge); /* the bad message may come before or after it returns */
  struct braid_answer *answer = NULL;
  if (status == BRAID_OK) status = braid_edge_wait(edge, -1, &answer);
  CHECK(status == BRAID_ECLOSED || status == BRAID_EPROTO, "%s", braid_status_text(status));
  CHECK(strstr(braid_error(), "does not keep the protocol"), "%s", braid_error());
  if (edge) braid_edge_stop(&edge);
  pthread_join(fake.thread, NULL);
  braid_link_close(&fake.link);
  braid_plan_destroy(&plan);
}

/* ---------------------------------------------------------------------------------------------- credit and urgency */

enum { BIG_ROWS = 600, SMALL_ROWS = 4, START_WINDOW_BYTES = 64 << 10, CHUNK_BYTES = 32 << 10 };

/* Two inputs, one bulky and one small, and their (slow-to-send) sums; everything in the cloud. */
static struct braid_graph *two_inputs(void) {
  struct braid_graph *graph;
  struct braid_shape big = braid_shape_of(4, (int[]){1, 3, BIG_ROWS, 300});
  struct braid_shape small = braid_shape_of(4, (int[]){1, 3, SMALL_ROWS, 5});
  int in[2], out;
  MUST(braid_graph_create("two inputs", &graph));
  MUST(braid_graph_add_input(graph, "big", BRAID_F32, &big, &in[0]));
  MUST(braid_graph_add_input(graph, "small", BRAID_F32, &small, &in[1]));
  for (int i = 0; i < 2; i++) {
    MUST(braid_graph_add(graph, BRAID_OP_RELU, NULL, &in[i], 1, NULL, NULL, &out));
    MUST(braid_graph_add_output(graph, out));
  }
  MUST(braid_graph_seal(graph, BRAID_PASS_ALL));
  return graph;
}

/* DATA until the edge has answered a PING sent now: whatever it sends without being asked has come by then. */
static size_t drain(struct braid_link *link, braid_peer peer, int node, bool *seen) {
  static int64_t stamp;
  size_t bytes = 0;
  rig_raw_send(link, peer, (struct braid_msg){.type = BRAID_MSG_PING, .stamp_ns = ++stamp}, NULL, 0);
  for (bool answered = false; !answered;) {
    struct braid_msg msg = {0};
    enum braid_status status = braid_link_recv(link, &peer, &msg);
    if (status == BRAID_ETIMEDOUT) {
      braid_link_wait(link, -1, -1);
      continue;
    }
    MUST(status);
    bytes += msg.type == BRAID_MSG_DATA ? msg.payload_bytes : 0;
    *seen |= msg.type == BRAID_MSG_DATA && (int)msg.node == node;
    answered = msg.type == BRAID_MSG_PONG && msg.stamp_ns == stamp;
    braid_msg_release(&msg);
  }
  return bytes;
}

struct credit_scene {
  struct fake_cloud fake;
  int small;
  sem_t submitted; /* both tensors are in the edge's outbox */
};

/* Withholds credit, then gives a little: no more leaves than there is credit for, and the urgent rows are among the
 * first. */
static void *withhold_credit(void *arg) {
  struct credit_scene *scene = arg;
  struct fake_cloud *fake = &scene->fake;
  braid_peer peer;
  expect_from(fake, BRAID_MSG_HELLO, &peer);
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_WELCOME, .node = 1}, NULL, 0);
  expect_from(fake, BRAID_MSG_PLAN, &peer);
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_PLAN_OK, .epoch = 1}, NULL, 0);
  bool small = false;
  size_t sent = 0;
  sem_wait(&scene->submitted); /* asking all the while would be more than a peer may say */
  while (sent < START_WINDOW_BYTES) sent += drain(fake->link, peer, scene->small, &small);
  for (int i = 0; i < 20; i++) sent += drain(fake->link, peer, scene->small, &small);
  CHECK(sent <= START_WINDOW_BYTES + CHUNK_BYTES, "%zu bytes without credit", sent);
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_ACK, .frame = sent}, NULL, 0);
  for (size_t more = 0; more == 0;) more = drain(fake->link, peer, scene->small, &small);
  CHECK(small, "the small tensor waits behind the bulky one");
  rig_raw_send(fake->link, peer, (struct braid_msg){.type = BRAID_MSG_BYE}, NULL, 0);
  return NULL;
}

static void credit_and_urgency(const char *scheme) {
  rig_case("no credit, nothing sent; urgent rows overtake", 60);
  struct braid_graph *graph = two_inputs();
  struct rig_sample *sample = rig_sample(graph, 1);
  struct braid_plan *plan = rig_plan_all(graph, BRAID_CLOUD);
  int n, big = braid_graph_inputs(graph, &n)[0], small = braid_graph_inputs(graph, &n)[1];
  if (plan->rank[big] < plan->rank[small]) {
    int rank = plan->rank[big];
    plan->rank[big] = plan->rank[small];
    plan->rank[small] = rank;
  }
  struct credit_scene scene = {.small = small};
  sem_init(&scene.submitted, 0, 0);
  struct braid_link_opts listen = {.listen = true};
  MUST(braid_link_open(strcmp(scheme, "tcp") == 0 ? "tcp://127.0.0.1:0" : "inproc://fake", &listen, &scene.fake.link));
  pthread_create(&scene.fake.thread, NULL, withhold_credit, &scene);
  struct braid_edge_opts opts = {.connect = braid_link_address(scene.fake.link),
                                 .threads = 1,
                                 .plan = plan,
                                 .window = 1,
                                 .heartbeat_ns = INT64_C(10000000000),
                                 .fallback = BRAID_FALLBACK_OFF};
  struct braid_edge *edge;
  MUST(braid_edge_start(graph, &opts, &edge));
  MUST(braid_edge_submit(edge, 1, sample->in, sample->n_in));
  sem_post(&scene.submitted);
  struct braid_answer *answer;
  CHECK(braid_edge_wait(edge, -1, &answer) == BRAID_ECLOSED, "an answer from nowhere");
  pthread_join(scene.fake.thread, NULL);
  sem_destroy(&scene.submitted);
  braid_edge_stop(&edge);
  braid_link_close(&scene.fake.link);
  braid_plan_destroy(&plan);
  rig_sample_free(sample);
  braid_graph_destroy(&graph);
}

void session_suite_failures(const char *scheme) {
  struct braid_graph *graph = rig_graph(77, 12, RANDOM_GRAPH_WEIGHTS);
  nobody_there(scheme, graph);
  disagreements(scheme, graph);
  memory_limit_counts_arenas(scheme);
  wrong_inputs(scheme, graph);
  cloud_stops(scheme, graph);
  edge_stops(scheme, graph);
  edge_freezes(scheme, graph);
  edge_vanishes(scheme, graph);
  rules_broken_at_start(scheme, graph);
  refusal_is_printable(scheme, graph);
  rules_broken_later(scheme, graph, data_out_of_turn, BRAID_EDGE);
  rules_broken_later(scheme, graph, delivered_out_of_turn, BRAID_EDGE);
  rules_broken_later(scheme, graph, delivered_out_of_turn, BRAID_CLOUD);
  credit_and_urgency(scheme);
  braid_graph_destroy(&graph);
}
