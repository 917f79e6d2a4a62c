/* SPDX-License-Identifier: Apache-2.0
 * A hostile edge: whatever it says, its own session ends with a REFUSE that names the reason, and an honest edge on the
 * same cloud, which runs frames before, between and after, notices nothing. */
#include <string.h>

#include "random_graph.h"
#include "session_rig.h"
#include "session_suite.h"

struct scene {
  const struct braid_graph *graph;
  struct braid_plan *plan; /* all in the cloud: DATA goes up for the inputs alone */
  int input, hidden;       /* a node that travels up, one that does not */
  uint32_t rows;
  size_t row_bytes;
};

static void say(struct braid_link *link, struct braid_msg msg) {
  rig_raw_send(link, 0, msg, NULL, 0);
}

static void agree(struct braid_link *link, const struct scene *s, uint32_t window) {
  rig_raw_hello(link, s->graph);
  rig_raw_agree(link, s->graph, s->plan, 1, window);
}

static void data(struct braid_link *link, uint32_t epoch, uint64_t frame, int node, uint32_t begin, uint32_t end,
                 size_t bytes) {
  struct braid_msg msg = {
      .type = BRAID_MSG_DATA, .epoch = epoch, .frame = frame, .node = (uint32_t)node, .begin = begin, .end = end};
  rig_raw_send(link, 0, msg, NULL, bytes);
}

static void hello_text(struct braid_link *link, const char *text) {
  rig_raw_send(link, 0, (struct braid_msg){.type = BRAID_MSG_HELLO, .node = 1}, text, strlen(text));
}

/* ------------------------------------------------------------------------------------------------- attacks */

static void hello_garbage(struct braid_link *l, const struct scene *s) {
  (void)s;
  hello_text(l, "\xff\xfe{{{");
}
static void hello_empty(struct braid_link *l, const struct scene *s) {
  (void)s;
  hello_text(l, "");
}
static void hello_array(struct braid_link *l, const struct scene *s) {
  (void)s;
  hello_text(l, "[1,2]");
}
static void hello_deep(struct braid_link *l, const struct scene *s) {
  (void)s;
  char text[8001];
  memset(text, '[', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  hello_text(l, text);
}
static void hello_huge(struct braid_link *l, const struct scene *s) {
  (void)s;
  rig_raw_send(l, 0, (struct braid_msg){.type = BRAID_MSG_HELLO, .node = 1}, NULL, 1 << 20);
}
static void hello_version(struct braid_link *l, const struct scene *s) {
  (void)s;
  hello_text(l, "{\"version\":99,\"model\":\"net\",\"hash\":\"00\",\"threads\":1}");
}
static void hello_hash(struct braid_link *l, const struct scene *s) {
  (void)s;
  hello_text(l, "{\"version\":4,\"model\":\"net\",\"hash\":\"00\",\"threads\":1}");
}
static void hello_path(struct braid_link *l, const struct scene *s) {
  (void)s;
  hello_text(l, "{\"version\":4,\"model\":\"../../etc/passwd\",\"hash\":\"00\",\"threads\":1}");
}
static void hello_control(struct braid_link *l, const struct scene *s) {
  (void)s;
  hello_text(l, "{\"version\":4,\"model\":\"a\\u001b[2J\",\"hash\":\"00\",\"threads\":1}");
}
static void hello_threads(struct braid_link *l, const struct scene *s) {
  (void)s;
  hello_text(l, "{\"version\":4,\"model\":\"net\",\"hash\":\"00\",\"threads\":-1}");
}
static void hello_twice(struct braid_link *l, const struct scene *s) {
  rig_raw_hello(l, s->graph);
  hello_text(l, "{}");
}
static void plan_before_hello(struct braid_link *l, const struct scene *s) {
  (void)s;
  rig_raw_plan(l, 1, 1, "{}");
}
static void data_before_hello(struct braid_link *l, const struct scene *s) {
  data(l, 1, 1, s->input, 0, 1, s->row_bytes);
}
static void data_before_plan(struct braid_link *l, const struct scene *s) {
  rig_raw_hello(l, s->graph);
  data(l, 1, 1, s->input, 0, 1, s->row_bytes);
}
static void plan_garbage(struct braid_link *l, const struct scene *s) {
  rig_raw_hello(l, s->graph);
  rig_raw_plan(l, 1, 1, "{\"policy\": \"x\", \"edge_nodes\": [[[");
}
static void plan_empty(struct braid_link *l, const struct scene *s) {
  rig_raw_hello(l, s->graph);
  rig_raw_plan(l, 1, 1, "");
}
static void plan_alien(struct braid_link *l, const struct scene *s) {
  rig_raw_hello(l, s->graph);
  rig_raw_plan(l, 1, 1, "{\"edge_nodes\": [0, 99999999]}");
}
static void plan_huge_window(struct braid_link *l, const struct scene *s) {
  rig_raw_hello(l, s->graph);
  rig_raw_plan(l, 1, 0x7fffffff, "{}");
}
static void plan_no_window(struct braid_link *l, const struct scene *s) {
  rig_raw_hello(l, s->graph);
  rig_raw_plan(l, 1, 0, "{}");
}
static void plan_twice(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  rig_raw_plan(l, 1, 1, "{}");
}
static void too_many_plans(struct braid_link *l, const struct scene *s) {
  rig_raw_hello(l, s->graph);
  for (uint32_t i = 1; i <= 16; i++) rig_raw_agree(l, s->graph, s->plan, i, 1);
  rig_raw_plan(l, 17, 1, "{}");
}
static void data_bad_epoch(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 2, 1, s->input, 0, 1, s->row_bytes);
}
static void data_unknown_node(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, 1, 0x7ffffff0, 0, 1, s->row_bytes);
}
static void data_hidden_node(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, 1, s->hidden, 0, 1, s->row_bytes);
}
static void data_rows_beyond(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, 1, s->input, s->rows, s->rows + 1, s->row_bytes);
}
static void data_too_many_rows(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, 1, s->input, 0, 0x7fffffff, s->row_bytes);
}
static void data_too_short(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, 1, s->input, 0, 1, s->row_bytes - 1);
}
static void data_too_long(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, 1, s->input, 0, 1, s->row_bytes + 1);
}
static void data_duplicate(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, 1, s->input, 0, 1, s->row_bytes);
  data(l, 1, 1, s->input, 0, 1, s->row_bytes);
}
static void data_far_ahead(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, UINT64_MAX, s->input, 0, 1, s->row_bytes);
}
static void data_frame_zero(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, 0, s->input, 0, 1, s->row_bytes);
}
/* One frame stays unfinished, so that its arena stays taken; the frames after it wait, up to what one window holds. */
static void data_over_window(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  for (uint64_t frame = 1; frame < 40; frame++) data(l, 1, frame, s->input, 0, 1, s->row_bytes);
}
static void credit_for_nothing(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  say(l, (struct braid_msg){.type = BRAID_MSG_ACK, .frame = UINT64_MAX});
}
static void a_clouds_message(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  say(l, (struct braid_msg){.type = BRAID_MSG_PLAN_OK, .epoch = 1});
}
static void ping_for_everything(struct braid_link *l, const struct scene *s) {
  rig_raw_hello(l, s->graph);
  for (int i = 0; i < 64; i++) say(l, (struct braid_msg){.type = BRAID_MSG_PING, .stamp_ns = 1, .begin = 60 << 20});
  say(l, (struct braid_msg){.type = BRAID_MSG_WELCOME}); /* and ends itself */
}
static void header_out_of_range(struct braid_link *l, const struct scene *s) {
  agree(l, s, 1);
  data(l, 1, 1, s->input, 3, 2, s->row_bytes);
}

static const struct attack {
  const char *name;
  void (*run)(struct braid_link *link, const struct scene *scene);
  const char *part; /* of the refusal */
} attacks[] = {
    {"HELLO that is garbage", hello_garbage, "not JSON"},
    {"HELLO that is empty", hello_empty, "HELLO of 0 bytes"},
    {"HELLO that is an array", hello_array, "not a JSON object"},
    {"HELLO nested deeply", hello_deep, "not JSON"},
    {"HELLO of a megabyte", hello_huge, "HELLO of 1048576 bytes"},
    {"HELLO of another version", hello_version, "version 99"},
    {"HELLO with another hash", hello_hash, "both must load the same file"},
    {"HELLO for a file", hello_path, "not served here"},
    {"HELLO with control characters", hello_control, "control characters"},
    {"HELLO with -1 threads", hello_threads, "threads"},
    {"HELLO twice", hello_twice, "unexpected message"},
    {"PLAN before HELLO", plan_before_hello, "HELLO comes first"},
    {"DATA before HELLO", data_before_hello, "HELLO comes first"},
    {"DATA before PLAN", data_before_plan, "not in force"},
    {"PLAN that is garbage", plan_garbage, ""},
    {"PLAN that is empty", plan_empty, ""},
    {"PLAN for another network", plan_alien, ""},
    {"PLAN with a huge window", plan_huge_window, "frames in flight"},
    {"PLAN without a window", plan_no_window, "frames in flight"},
    {"PLAN twice", plan_twice, "came twice"},
    {"too many plans", too_many_plans, "more than 16 plans"},
    {"DATA of an unknown epoch", data_bad_epoch, "not in force"},
    {"DATA of an unknown node", data_unknown_node, "does not travel"},
    {"DATA of a node of the cloud's", data_hidden_node, "does not travel"},
    {"DATA beyond the last row", data_rows_beyond, "rows ["},
    {"DATA of two billion rows", data_too_many_rows, "rows ["},
    {"DATA that is too short", data_too_short, "bytes for rows"},
    {"DATA that is too long", data_too_long, "bytes for rows"},
    {"DATA twice", data_duplicate, "have arrived before"},
    {"DATA of a frame far ahead", data_far_ahead, "too far ahead"},
    {"DATA of frame 0", data_frame_zero, "is over"},
    {"DATA of more frames than the window", data_over_window, "frames in flight"},
    {"credit for bytes never sent", credit_for_nothing, "credit for"},
    {"a message of the cloud's", a_clouds_message, "unexpected message"},
    {"PINGs that ask for gigabytes", ping_for_everything, "unexpected message"},
    {"DATA with rows [3,2)", header_out_of_range, "out of range"},
};

/* --------------------------------------------------------------------------------------------------- scene */

static struct scene make_scene(const struct braid_graph *graph) {
  struct scene s = {.graph = graph, .plan = rig_plan_all(graph, BRAID_CLOUD)};
  int n;
  s.input = braid_graph_inputs(graph, &n)[0];
  for (int i = 0; i < braid_graph_size(graph); i++)
    if (braid_graph_node(graph, i)->op != BRAID_OP_INPUT) s.hidden = i;
  const struct braid_node *node = braid_graph_node(graph, s.input);
  s.rows = (uint32_t)node->rows;
  s.row_bytes = braid_band_bytes(&node->shape, node->dtype, (struct braid_band){0, 1});
  CHECK(s.rows > 1, "the scene needs an input of more than one row");
  return s;
}

void session_suite_hostile(const char *scheme) {
  struct braid_graph *graph = rig_graph(42, 12, RANDOM_GRAPH_WEIGHTS);
  struct scene scene = make_scene(graph);
  struct rig_cloud *cloud = rig_cloud_start(scheme, graph, NULL);
  struct rig_sample *sample = rig_sample(graph, 6);
  struct braid_plan *plan = rig_plan(graph, 3, false);
  struct braid_edge_opts opts = rig_edge_opts(cloud, plan, 2);
  struct braid_edge *honest;
  MUST(braid_edge_start(graph, &opts, &honest));
  for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
    rig_case(attacks[i].name, 30);
    struct braid_link *link = rig_raw_connect(cloud->address);
    attacks[i].run(link, &scene);
    rig_raw_expect_refusal(link, attacks[i].part);
    braid_link_close(&link);
    rig_run_frames(honest, &sample, 1, 2, 2);
  }
  braid_edge_stop(&honest);
  rig_cloud_stop(cloud);
  rig_sample_free(sample);
  braid_plan_destroy(&plan);
  braid_plan_destroy(&scene.plan);
  braid_graph_destroy(&graph);
}
