/* SPDX-License-Identifier: Apache-2.0 */
#include "session_rig.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "random_graph.h"

/* ------------------------------------------------------------------------------------------------ watchdog */

static char case_name[256] = "start";

void rig_fail(const char *file, int line, const char *what, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "%s:%d: [%s] %s: ", file, line, case_name, what);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  _exit(1);
}

static void on_alarm(int signal) {
  (void)signal;
  static const char text[] = "hangs: ";
  if (write(STDERR_FILENO, text, sizeof text - 1) < 0 || write(STDERR_FILENO, case_name, strlen(case_name)) < 0 ||
      write(STDERR_FILENO, "\n", 1) < 0)
    _exit(3);
  abort(); /* a core tells where */
}

void rig_case(const char *name, int seconds) {
  snprintf(case_name, sizeof case_name, "%s", name);
  printf("  %s\n", name);
  fflush(stdout);
  signal(SIGALRM, on_alarm);
  alarm((unsigned)seconds);
}

void rig_done(void) {
  alarm(0);
  puts("ok");
}

/* ------------------------------------------------------------------------------------------------ networks */

struct braid_graph *rig_graph(uint64_t seed, int n_nodes, unsigned flags) {
  struct braid_graph *graph = random_graph(seed, n_nodes, flags);
  MUST(braid_graph_seal(graph, BRAID_PASS_ALL));
  return graph;
}

static bool needs_cloud(const struct braid_graph *graph, const struct braid_plan *plan, int id) {
  const struct braid_node *node = braid_graph_node(graph, id);
  for (int k = 0; k < node->n_in; k++)
    if (braid_is_node(node->in[k]) && plan->site[node->in[k]] == BRAID_CLOUD) return true;
  return false;
}

static void shuffle_ranks(struct braid_plan *plan, uint64_t seed) {
  for (int i = plan->n_nodes - 1; i > 0; i--) {
    int j = (int)(braid_random_u64(seed, (uint64_t)i) % (uint64_t)(i + 1)), t = plan->rank[i];
    plan->rank[i] = plan->rank[j];
    plan->rank[j] = t;
  }
}

struct braid_plan *rig_plan(const struct braid_graph *graph, uint64_t seed, bool returns) {
  struct braid_plan *plan;
  MUST(braid_plan_create(graph, "random", &plan));
  uint64_t edge_share = braid_random_u64(seed, 1000000) % 101; /* per cent */
  plan->serial = !returns && braid_random_u64(seed, 1000001) % 8 == 0;
  for (int i = 0; i < plan->n_nodes; i++) {
    const struct braid_node *node = braid_graph_node(graph, i);
    uint64_t r = braid_random_u64(seed, (uint64_t)i);
    plan->slices[i] = node->slices_max > 1 ? 1 + (int)(r % (uint64_t)(node->slices_max < 5 ? node->slices_max : 5)) : 1;
    if (node->op == BRAID_OP_INPUT) continue;
    bool edge = (r >> 20) % 100 < edge_share && (returns || !needs_cloud(graph, plan, i));
    plan->site[i] = edge ? BRAID_EDGE : BRAID_CLOUD;
  }
  shuffle_ranks(plan, seed + 1);
  MUST(braid_plan_check(plan, graph, !returns));
  return plan;
}

struct braid_plan *rig_plan_all(const struct braid_graph *graph, enum braid_site site) {
  struct braid_plan *plan;
  MUST(braid_plan_create(graph, "all", &plan));
  for (int i = 0; i < plan->n_nodes; i++)
    if (braid_graph_node(graph, i)->op != BRAID_OP_INPUT) plan->site[i] = (uint8_t)site;
  MUST(braid_plan_check(plan, graph, true));
  return plan;
}

static struct braid_tensor make_tensor(const struct braid_node *node) {
  struct braid_tensor t = {braid_alloc_aligned(node->bytes + 1), node->dtype, node->shape};
  CHECK(t.data, "no memory");
  memset(t.data, 0, node->bytes);
  return t;
}

static void fill_tensor(const struct braid_tensor *t, size_t bytes, uint64_t seed) {
  if (t->dtype == BRAID_F32)
    for (size_t i = 0; i < bytes / 4; i++) ((float *)t->data)[i] = braid_random_f32(seed, i);
  else
    for (size_t i = 0; i < bytes; i++) ((uint8_t *)t->data)[i] = (uint8_t)(braid_random_u64(seed, i) & 63);
}

static struct braid_tensor *make_tensors(const struct braid_graph *graph, const int *id, int n) {
  struct braid_tensor *t = calloc((size_t)n, sizeof *t);
  for (int i = 0; i < n; i++) t[i] = make_tensor(braid_graph_node(graph, id[i]));
  return t;
}

static void run_alone(const struct braid_graph *graph, struct rig_sample *s) {
  struct braid_pool_opts pool_opts = {.workers = 1, .name = "alone"};
  struct braid_pool *pool;
  MUST(braid_pool_create(&pool_opts, &pool));
  struct braid_program_opts opts = {.here = BRAID_EDGE, .frames = 1};
  struct braid_program *program;
  MUST(braid_program_create(pool, graph, NULL, &opts, &program));
  MUST(braid_program_run(program, s->in, s->n_in, s->out, s->n_out));
  braid_program_destroy(&program);
  braid_pool_destroy(&pool);
}

struct rig_sample *rig_sample(const struct braid_graph *graph, uint64_t seed) {
  struct rig_sample *s = calloc(1, sizeof *s);
  const int *in = braid_graph_inputs(graph, &s->n_in), *out = braid_graph_outputs(graph, &s->n_out);
  s->in = make_tensors(graph, in, s->n_in);
  s->out = make_tensors(graph, out, s->n_out);
  for (int i = 0; i < s->n_in; i++)
    fill_tensor(&s->in[i], braid_graph_node(graph, in[i])->bytes, seed + 1000 * (uint64_t)i);
  run_alone(graph, s);
  return s;
}

static void free_tensors(struct braid_tensor *t, int n) {
  for (int i = 0; i < n; i++) braid_free(t[i].data);
  free(t);
}

void rig_sample_free(struct rig_sample *s) {
  free_tensors(s->in, s->n_in);
  free_tensors(s->out, s->n_out);
  free(s);
}

static void check_outputs(const struct rig_sample *s, const struct braid_tensor *out, int n_out, uint64_t frame) {
  CHECK(n_out == s->n_out, "%d outputs, %d expected", n_out, s->n_out);
  for (int i = 0; i < s->n_out; i++) {
    size_t bytes;
    MUST(braid_shape_bytes(&s->out[i].shape, s->out[i].dtype, &bytes));
    CHECK(out[i].dtype == s->out[i].dtype && braid_shape_equal(&out[i].shape, &s->out[i].shape),
          "output %d has another type or shape", i);
    CHECK(memcmp(out[i].data, s->out[i].data, bytes) == 0, "output %d of frame %llu differs from one machine's", i,
          (unsigned long long)frame);
  }
}

void rig_check_answer(const struct rig_sample *s, const struct braid_answer *answer) {
  CHECK(answer->delivered == BRAID_EDGE, "frame %llu is in the cloud", (unsigned long long)answer->frame);
  CHECK(answer->answered_ns >= answer->submitted_ns, "answered before it was submitted");
  check_outputs(s, answer->out, answer->n_out, answer->frame);
}

/* --------------------------------------------------------------------------------------------------- cloud */

static enum braid_status resolve(void *ctx, const char *name, const struct braid_graph **out) {
  struct rig_cloud *rig = ctx;
  for (int i = 0; i < rig->n_models; i++)
    if (strcmp(rig->model[i].name, name) == 0) {
      *out = rig->model[i].graph;
      return BRAID_OK;
    }
  return braid_fail(BRAID_ENOTFOUND, "no model of that name");
}

static enum braid_status profile(void *ctx, const struct braid_graph *graph, struct braid_profile **out) {
  (void)ctx;
  return braid_profile_synthetic(graph, 8, out);
}

static void event(void *ctx, const char *kind, const char *text) {
  struct rig_cloud *rig = ctx;
  size_t size = strlen(kind) + strlen(text) + 3;
  char *line = malloc(size);
  snprintf(line, size, "%s: %s", kind, text);
  pthread_mutex_lock(&rig->mutex);
  CHECK(rig->n_events < RIG_EVENTS, "too many events");
  rig->event[rig->n_events++] = line;
  pthread_cond_broadcast(&rig->changed);
  pthread_mutex_unlock(&rig->mutex);
}

static void listen_address(const char *scheme, char *buf, size_t size) {
  static int count;
  if (strstr(scheme, "://"))
    snprintf(buf, size, "%s", scheme);
  else if (strcmp(scheme, "tcp") == 0)
    snprintf(buf, size, "tcp://127.0.0.1:0");
  else
    snprintf(buf, size, "inproc://session-%d", ++count);
}

struct rig_cloud *rig_cloud_start(const char *scheme, const struct braid_graph *graph,
                                  const struct braid_cloud_opts *given) {
  struct rig_cloud *rig = calloc(1, sizeof *rig);
  pthread_mutex_init(&rig->mutex, NULL);
  pthread_cond_init(&rig->changed, NULL);
  rig_cloud_add(rig, "net", graph);
  char listen[128];
  listen_address(scheme, listen, sizeof listen);
  struct braid_cloud_opts opts = given ? *given : (struct braid_cloud_opts){0};
  opts.listen = listen;
  opts.resolve = resolve;
  opts.profile = profile;
  opts.event = event;
  opts.ctx = rig;
  if (!opts.threads) opts.threads = 2;
  if (!opts.heartbeat_ns) opts.heartbeat_ns = INT64_C(10000000000);
  MUST(braid_cloud_start(&opts, &rig->cloud));
  snprintf(rig->address, sizeof rig->address, "%s", braid_cloud_address(rig->cloud));
  return rig;
}

void rig_cloud_add(struct rig_cloud *rig, const char *name, const struct braid_graph *graph) {
  rig->model[rig->n_models].name = name;
  rig->model[rig->n_models++].graph = graph;
}

static bool has_event(const struct rig_cloud *rig, const char *kind, const char *part) {
  for (int i = 0; i < rig->n_events; i++)
    if (strncmp(rig->event[i], kind, strlen(kind)) == 0 && strstr(rig->event[i], part)) return true;
  return false;
}

void rig_cloud_await(struct rig_cloud *rig, const char *kind, const char *part) {
  pthread_mutex_lock(&rig->mutex);
  while (!has_event(rig, kind, part)) pthread_cond_wait(&rig->changed, &rig->mutex);
  pthread_mutex_unlock(&rig->mutex);
}

enum braid_status rig_deliver(void *ctx, const struct braid_result *r) {
  struct rig_cloud *rig = ctx;
  CHECK(r->frame < RIG_DELIVERED && rig->n_samples > 0, "frame %llu", (unsigned long long)r->frame);
  CHECK(strlen(r->run) == BRAID_RUN_CHARS && strcmp(r->model, "net") == 0 && r->epoch > 0, "run %s of %s", r->run,
        r->model);
  check_outputs(rig->sample[r->frame % (uint64_t)rig->n_samples], r->out, r->n_out, r->frame);
  pthread_mutex_lock(&rig->mutex);
  CHECK(!*rig->run || strcmp(rig->run, r->run) == 0, "one edge, two names: %s, %s", rig->run, r->run);
  memcpy(rig->run, r->run, sizeof rig->run);
  CHECK(rig->delivered[r->frame]++ == 0, "frame %llu is delivered twice", (unsigned long long)r->frame);
  rig->n_delivered++;
  pthread_cond_broadcast(&rig->changed);
  pthread_mutex_unlock(&rig->mutex);
  return BRAID_OK;
}

bool rig_was_delivered(struct rig_cloud *rig, uint64_t frame) {
  pthread_mutex_lock(&rig->mutex);
  bool was = frame < RIG_DELIVERED && rig->delivered[frame] == 1;
  pthread_mutex_unlock(&rig->mutex);
  return was;
}

void rig_cloud_stop(struct rig_cloud *rig) {
  braid_cloud_stop(&rig->cloud);
  CHECK(!rig->cloud, "stop leaves the pointer");
  for (int i = 0; i < rig->n_events; i++) free(rig->event[i]);
  pthread_mutex_destroy(&rig->mutex);
  pthread_cond_destroy(&rig->changed);
  free(rig);
}

/* ---------------------------------------------------------------------------------------------------- edge */

struct braid_edge_opts rig_edge_opts(const struct rig_cloud *rig, const struct braid_plan *plan, int window) {
  return (struct braid_edge_opts){.connect = rig->address,
                                  .model = "net",
                                  .threads = 2,
                                  .heartbeat_ns = INT64_C(10000000000),
                                  .connect_timeout_ns = INT64_C(60000000000),
                                  .fallback = BRAID_FALLBACK_OFF,
                                  .plan = plan,
                                  .window = window};
}

void rig_flow_take(struct rig_flow *flow) {
  struct braid_answer *answer;
  MUST(braid_edge_wait(flow->edge, -1, &answer));
  CHECK(answer->frame == flow->answered, "frame %d comes where %d is expected", (int)answer->frame,
        (int)flow->answered);
  if (flow->cloud && answer->delivered == BRAID_CLOUD) {
    CHECK(answer->n_out == 0 && !answer->out, "frame %d is in both places", (int)answer->frame);
    CHECK(rig_was_delivered(flow->cloud, answer->frame), "frame %d is in neither place", (int)answer->frame);
    flow->away++;
  } else {
    rig_check_answer(flow->sample[flow->answered % (uint64_t)flow->n_samples], answer);
  }
  flow->answered++;
  flow->last_epoch = answer->epoch;
  braid_answer_destroy(&answer);
}

void rig_flow_step(struct rig_flow *flow) {
  if (flow->submitted == flow->answered + (uint64_t)flow->window) {
    rig_flow_take(flow);
    return;
  }
  const struct rig_sample *sample = flow->sample[flow->submitted % (uint64_t)flow->n_samples];
  MUST(braid_edge_submit(flow->edge, flow->submitted++, sample->in, sample->n_in));
}

void rig_flow_end(struct rig_flow *flow) {
  while (flow->answered < flow->submitted) rig_flow_take(flow);
  struct braid_edge_stats stats;
  braid_edge_stats(flow->edge, &stats);
  CHECK(stats.answered == flow->submitted && stats.frames == flow->submitted && stats.lost == 0 &&
            stats.duplicates == 0 && stats.delivered == flow->away,
        "frames %d answered %d lost %d twice %d", (int)stats.frames, (int)stats.answered, (int)stats.lost,
        (int)stats.duplicates);
}

void rig_run_frames(struct braid_edge *edge, struct rig_sample *const *sample, int n_samples, int frames, int window) {
  int submitted = 0, answered = 0;
  while (answered < frames) {
    while (submitted < frames && submitted - answered < window) {
      const struct rig_sample *s = sample[submitted % n_samples];
      MUST(braid_edge_submit(edge, 100 + (uint64_t)submitted, s->in, s->n_in));
      submitted++;
    }
    struct braid_answer *answer;
    MUST(braid_edge_wait(edge, -1, &answer));
    CHECK(answer->frame == 100 + (uint64_t)answered, "answer to frame %llu comes out of order",
          (unsigned long long)answer->frame);
    rig_check_answer(sample[answered % n_samples], answer);
    braid_answer_destroy(&answer);
    answered++;
  }
}

/* ------------------------------------------------------------------------------------------------ raw links */

struct braid_link *rig_raw_connect(const char *address) {
  struct braid_link_opts opts = {0};
  struct braid_link *link;
  MUST(braid_link_open(address, &opts, &link));
  return link;
}

void rig_raw_send(struct braid_link *link, braid_peer peer, struct braid_msg fields, const void *payload,
                  size_t bytes) {
  struct braid_msg msg;
  MUST(braid_msg_init(&msg, fields.type, bytes));
  fields.payload = msg.payload;
  fields.payload_bytes = msg.payload_bytes;
  fields.owner = msg.owner;
  if (bytes && payload) memcpy(fields.payload, payload, bytes);
  if (bytes && !payload) memset(fields.payload, 0, bytes);
  if (braid_link_send(link, peer, &fields) != BRAID_OK) braid_msg_release(&fields); /* the other side has had enough */
}

struct braid_msg rig_raw_recv(struct braid_link *link, braid_peer *peer) {
  for (;;) {
    struct braid_msg msg = {0};
    braid_peer from = 0;
    enum braid_status status = braid_link_recv(link, &from, &msg);
    if (status == BRAID_ETIMEDOUT) {
      braid_link_wait(link, -1, -1);
      continue;
    }
    if (status == BRAID_ECLOSED && from != 0) continue; /* somebody who was here before */
    MUST(status);
    if (peer) *peer = from;
    if (msg.type == BRAID_MSG_PING)
      rig_raw_send(link, from, (struct braid_msg){.type = BRAID_MSG_PONG, .stamp_ns = msg.stamp_ns}, NULL, 0);
    else if (msg.type != BRAID_MSG_PONG && msg.type != BRAID_MSG_ACK)
      return msg;
    braid_msg_release(&msg);
  }
}

static void expect(struct braid_link *link, enum braid_msg_type type) {
  struct braid_msg msg = rig_raw_recv(link, NULL);
  CHECK(msg.type == type, "message of type %d where %d is expected: %.*s", (int)msg.type, (int)type,
        (int)msg.payload_bytes, (const char *)msg.payload);
  braid_msg_release(&msg);
}

void rig_raw_hello(struct braid_link *link, const struct braid_graph *graph) {
  char hash[65], text[256];
  braid_graph_hash_text(graph, hash);
  snprintf(text, sizeof text, "{\"version\":%d,\"model\":\"net\",\"hash\":\"%s\",\"threads\":1}", BRAID_WIRE_VERSION,
           hash);
  rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_HELLO, .node = 1}, text, strlen(text));
  expect(link, BRAID_MSG_WELCOME);
}

void rig_raw_plan(struct braid_link *link, uint32_t epoch, uint32_t window, const char *json) {
  struct braid_msg msg = {.type = BRAID_MSG_PLAN, .epoch = epoch, .begin = window, .frame = 1};
  rig_raw_send(link, 0, msg, json, strlen(json));
}

void rig_raw_agree(struct braid_link *link, const struct braid_graph *graph, const struct braid_plan *plan,
                   uint32_t epoch, uint32_t window) {
  char *json;
  MUST(braid_plan_to_json(plan, graph, NULL, -1, &json));
  rig_raw_plan(link, epoch, window, json);
  braid_free(json);
  expect(link, BRAID_MSG_PLAN_OK);
}

void rig_raw_expect_refusal(struct braid_link *link, const char *part) {
  struct braid_msg msg = rig_raw_recv(link, NULL);
  while (msg.type == BRAID_MSG_DATA) { /* rows that were on their way */
    braid_msg_release(&msg);
    msg = rig_raw_recv(link, NULL);
  }
  char text[512];
  snprintf(text, sizeof text, "%.*s", (int)msg.payload_bytes, (const char *)msg.payload);
  CHECK(msg.type == BRAID_MSG_REFUSE, "message of type %d where a REFUSE is expected: %s", (int)msg.type, text);
  CHECK(strstr(text, part), "refused, but not for '%s': %s", part, text);
  braid_msg_release(&msg);
}
