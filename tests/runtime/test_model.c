/* SPDX-License-Identifier: Apache-2.0
 * Opening models, measuring them, and the trace file. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

#include "exec_help.h"
#include "graph_help.h"
#include "random_graph.h"
#include "testdata.h"

/* ------------------------------------------------------------------------------------------------ models */

Test(model, the_zoo_is_opened_by_name) {
  struct braid_graph *graph, *again, *other;
  must(braid_model_open("squeezenet1_1", NULL, &graph));
  must(braid_model_open("squeezenet1_1", &(struct braid_open_opts){.batch = 1}, &again));
  must(braid_model_open("squeezenet1_1", &(struct braid_open_opts){.seed = 1}, &other));
  char a[65], b[65], c[65];
  braid_graph_hash_text(graph, a);
  braid_graph_hash_text(again, b);
  braid_graph_hash_text(other, c);
  cr_assert_str_eq(a, b);
  cr_assert_str_neq(a, c, "another seed, the same weights");
  braid_graph_destroy(&graph);
  braid_graph_destroy(&again);
  braid_graph_destroy(&other);
}

Test(model, passes_can_be_left_out) {
  struct braid_graph *all, *none;
  must(braid_model_open("resnet18", NULL, &all));
  must(braid_model_open("resnet18", &(struct braid_open_opts){.no_passes = BRAID_PASS_ALL}, &none));
  cr_assert_lt(braid_graph_size(all), braid_graph_size(none));
  braid_graph_destroy(&all);
  braid_graph_destroy(&none);
}

Test(model, unknown_names_are_answered_with_near_ones) {
  struct braid_graph *graph = NULL;
  cr_assert_eq(braid_model_open("gogglenet", NULL, &graph), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), "did you mean") && strstr(braid_error(), "googlenet"), "%s", braid_error());
  cr_assert_null(strstr(braid_error(), "vgg16"), "%s", braid_error());
  cr_assert_eq(braid_model_open("resnet", NULL, &graph), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), "resnet18, resnet50"), "%s", braid_error());
  cr_assert_eq(braid_model_open("qqqqqqqqqqqqqqq", NULL, &graph), BRAID_ENOTFOUND);
  cr_assert(strstr(braid_error(), "the zoo has") && strstr(braid_error(), "vgg16"), "%s", braid_error());
  cr_assert_eq(braid_model_open("/dev/null", NULL, &graph), BRAID_EINVAL);
  cr_assert_neq(braid_model_open("/nowhere/model.onnx", NULL, &graph), BRAID_OK);
  cr_assert(strstr(braid_error(), "/nowhere/model.onnx"), "%s", braid_error());
  cr_assert_null(graph);
}

Test(model, the_evaluator_computes_one_operator) {
  float a[4] = {1, 2, 3, 4}, b[2] = {10, 20}, c[4] = {0};
  struct braid_tensor in[2] = {{a, BRAID_F32, braid_shape_of(2, (int[]){2, 2})},
                               {b, BRAID_F32, braid_shape_of(1, (int[]){2})}};
  struct braid_tensor out = {c, BRAID_F32, in[0].shape};
  struct braid_evaluator evaluator = braid_reference_evaluator();
  union braid_attrs attrs = {0};
  must(evaluator.eval(evaluator.ctx, BRAID_OP_ADD, &attrs, in, (bool[]){true, true}, 2, &out));
  cr_assert(c[0] == 11 && c[1] == 22 && c[2] == 13 && c[3] == 24);
}

/* ------------------------------------------------------------------------------------------------ profile */

static void count_progress(void *ctx, int done, int total) {
  int *calls = ctx;
  cr_assert_eq(done, ++*calls);
  cr_assert_eq(total, 4); /* three whole, one in slices */
}

Test(profile, every_node_that_computes_takes_time) {
  struct braid_graph *graph = random_graph(3, 30, RANDOM_GRAPH_WEIGHTS | RANDOM_GRAPH_SERIES_PARALLEL);
  must(braid_graph_seal(graph, BRAID_PASS_ALL));
  struct braid_profile *profile;
  int calls = 0;
  struct braid_profile_opts opts = {.repeat = 3, .progress = count_progress, .ctx = &calls};
  must(braid_profile_measure(graph, &opts, &profile));
  cr_assert_eq(calls, 4);
  cr_assert_eq(profile->n_nodes, braid_graph_size(graph));
  cr_assert_eq(profile->threads, 1);
  cr_assert_gt(strlen(profile->machine), 3);
  char hash[65];
  braid_graph_hash_text(graph, hash);
  cr_assert_str_eq(profile->hash, hash);
  for (int id = 0; id < profile->n_nodes; id++) {
    const struct braid_node *node = braid_graph_node(graph, id);
    if (node->op == BRAID_OP_INPUT) cr_assert_eq(profile->node_ns[id], 0);
    cr_assert_geq(profile->slice_ns[id], 0);
    if (node->slices_max < 2) cr_assert_eq(profile->slice_ns[id], 0, "%s cannot be cut", node->name);
    if (node->op == BRAID_OP_CONV) cr_assert_gt(profile->node_ns[id], 0, "%s", node->name);
  }
  braid_profile_destroy(&profile);
  opts = (struct braid_profile_opts){.repeat = -1};
  cr_assert_eq(braid_profile_measure(graph, &opts, &profile), BRAID_EINVAL);
  opts = (struct braid_profile_opts){.repeat = 1, .slow = -2};
  cr_assert_eq(braid_profile_measure(graph, &opts, &profile), BRAID_EINVAL);
  braid_graph_destroy(&graph);
}

/* -------------------------------------------------------------------------------------------------- trace */

static json_t *written(const struct braid_trace *trace) {
  char path[] = "/tmp/braid-trace-XXXXXX";
  int fd = mkstemp(path);
  cr_assert_geq(fd, 0);
  close(fd);
  must(braid_trace_write(trace, path));
  json_error_t error;
  json_t *json = json_load_file(path, 0, &error);
  unlink(path);
  cr_assert(json, "line %d: %s", error.line, error.text);
  cr_assert(json_is_array(json));
  return json;
}

static int count_phase(const json_t *events, const char *phase) {
  int n = 0;
  for (size_t i = 0; i < json_array_size(events); i++)
    n += strcmp(json_string_value(json_object_get(json_array_get(events, i), "ph")), phase) == 0;
  return n;
}

static const json_t *find_named(const json_t *events, const char *name) {
  for (size_t i = 0; i < json_array_size(events); i++)
    if (strcmp(json_string_value(json_object_get(json_array_get(events, i), "name")), name) == 0)
      return json_array_get(events, i);
  return NULL;
}

Test(trace, spans_lanes_and_odd_names_are_valid_json) {
  struct braid_trace *trace;
  must(braid_trace_create("edge \"7\"\n", 16, &trace));
  int lane = braid_trace_lane(trace, "lane\\1"), other = braid_trace_lane(trace, "up");
  cr_assert_neq(lane, other);
  braid_trace_span(trace, lane, "conv\t\"x\" \xc3\xa9", 12, 3, (struct braid_band){4, 8}, 1234567, 1234999);
  braid_trace_span(trace, other, "plain", 12, 3, (struct braid_band){0, 1}, 5, 6);
  braid_trace_span(NULL, 0, "nothing", 0, 0, (struct braid_band){0, 1}, 0, 1);
  braid_trace_span(trace, -1, "nothing", 0, 0, (struct braid_band){0, 1}, 0, 1);
  json_t *events = written(trace);
  cr_assert_eq(count_phase(events, "X"), 2);
  const json_t *span = find_named(events, "plain");
  cr_assert_float_eq(json_real_value(json_object_get(span, "ts")), 0.005, 1e-9);
  span = json_array_get(events, json_array_size(events) - 2);
  cr_assert_float_eq(json_real_value(json_object_get(span, "ts")), 1234.567, 1e-9);
  cr_assert_float_eq(json_real_value(json_object_get(span, "dur")), 0.432, 1e-9);
  const json_t *args = json_object_get(span, "args");
  cr_assert_eq(json_integer_value(json_object_get(args, "frame")), 12);
  cr_assert_str_eq(json_string_value(json_object_get(args, "rows")), "4-8");
  json_decref(events);
  cr_assert_eq(braid_trace_write(trace, "/nowhere/trace.json"), BRAID_EIO);
  braid_trace_destroy(&trace);
  cr_assert_null(trace);
}

Test(trace, a_full_trace_says_what_it_lost) {
  struct braid_trace *trace;
  must(braid_trace_create("full", 4, &trace));
  int lane = braid_trace_lane(trace, "lane");
  for (int i = 0; i < 10; i++) braid_trace_span(trace, lane, "x", 0, i, (struct braid_band){0, 1}, i, i + 1);
  json_t *events = written(trace);
  cr_assert_eq(count_phase(events, "X"), 4);
  const json_t *lost = find_named(events, "process_labels");
  const char *text = json_string_value(json_object_get(json_object_get(lost, "args"), "labels"));
  cr_assert(text && strstr(text, "6 events dropped"), "%s", text ? text : "nothing said");
  json_decref(events);
  braid_trace_destroy(&trace);
}

Test(trace, frames_and_notes_are_written_as_they_are_given) {
  struct braid_trace *trace;
  must(braid_trace_create("cloud", 16, &trace));
  braid_trace_frame(trace, 7, &(struct braid_trace_wire){3, 2, 5}, 1000, 4500);
  braid_trace_frame(NULL, 7, &(struct braid_trace_wire){3, 2, 5}, 1000, 4500);
  braid_trace_note(trace, "braid_session", "{\"id\":\"ab\",\"far\":9007199254740993}");
  braid_trace_note(NULL, "x", "{}");
  json_t *events = written(trace);
  cr_assert_eq(count_phase(events, "b"), 1);
  cr_assert_eq(count_phase(events, "e"), 1);
  const json_t *begin = json_array_get(events, json_array_size(events) - 2);
  const json_t *end = json_array_get(events, json_array_size(events) - 1), *args = json_object_get(begin, "args");
  cr_assert_float_eq(json_real_value(json_object_get(begin, "ts")), 1, 1e-9);
  cr_assert_float_eq(json_real_value(json_object_get(end, "ts")), 4.5, 1e-9);
  cr_assert(json_equal(json_object_get(begin, "id2"), json_object_get(end, "id2")));
  const char *const key[] = {"frame", "session", "epoch", "number"};
  const int want[] = {7, 3, 2, 5};
  for (int i = 0; i < 4; i++) cr_assert_eq(json_integer_value(json_object_get(args, key[i])), want[i], "%s", key[i]);
  args = json_object_get(find_named(events, "braid_session"), "args");
  cr_assert_eq(json_integer_value(json_object_get(args, "far")), 9007199254740993);
  json_decref(events);
  braid_trace_destroy(&trace);
}

Test(trace, notes_are_bounded) {
  struct braid_trace *trace;
  must(braid_trace_create("cloud", 16, &trace));
  for (int i = 0; i < 5000; i++) braid_trace_note(trace, "n", "{}");
  json_t *events = written(trace);
  const json_t *lost = find_named(events, "process_labels");
  const char *text = json_string_value(json_object_get(json_object_get(lost, "args"), "labels"));
  cr_assert(text && strstr(text, "904 events dropped"), "%s", text ? text : "nothing said");
  json_decref(events);
  braid_trace_destroy(&trace);
}

Test(trace, workers_record_what_they_compute) {
  struct braid_graph *graph = random_graph(3, 20, RANDOM_GRAPH_WEIGHTS);
  must(braid_graph_seal(graph, BRAID_PASS_ALL));
  struct braid_trace *trace;
  must(braid_trace_create("run", 10000, &trace));
  struct braid_pool *pool;
  must(braid_pool_create(&(struct braid_pool_opts){.workers = 2, .name = "edge", .trace = trace}, &pool));
  struct braid_program *program = make_program(pool, graph, NULL, BRAID_EDGE, 1, 0);
  struct io io;
  io_make(graph, 3, &io);
  must(braid_program_run(program, io.in, io.n_in, io.out, io.n_out));
  int computed = 0;
  for (int id = 0; id < braid_graph_size(graph); id++) {
    const char *kernel = braid_program_kernel_name(program, id);
    computed += kernel && strcmp(kernel, "view") != 0;
  }
  braid_program_destroy(&program);
  braid_pool_destroy(&pool); /* joins the workers: their last spans are in */
  json_t *events = written(trace);
  cr_assert_geq(count_phase(events, "X"), computed);
  bool lanes = false;
  for (size_t i = 0; i < json_array_size(events); i++) {
    const char *name = json_string_value(json_object_get(json_object_get(json_array_get(events, i), "args"), "name"));
    lanes |= name && strcmp(name, "edge-w1") == 0;
  }
  cr_assert(lanes, "no lane edge-w1");
  json_decref(events);
  io_free(&io);
  braid_trace_destroy(&trace);
  braid_graph_destroy(&graph);
}
