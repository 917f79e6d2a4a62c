/* SPDX-License-Identifier: Apache-2.0
 * Joining traces that are made up: an edge with two connections and two plans, a cloud whose clock is an hour ahead and
 * which serves another edge besides. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "timeline.h"

#define MS INT64_C(1000000)
#define AHEAD (3600000 * MS) /* the cloud's clock */
#define T0 (50000 * MS)      /* of the edge's, when the first frame is submitted */

static void must(enum braid_status status) {
  cr_assert_eq(status, BRAID_OK, "%s", braid_error());
}

static const struct braid_band rows = {0, 4};

struct traces {
  struct braid_trace *edge, *cloud;
  int edge_w0, edge_sent, edge_came, cloud_w0, cloud_w1, cloud_came, cloud_sent, other_came;
  char edge_path[64], cloud_path[64];
  struct traced read_edge, read_cloud;
};

static void note_session(struct traces *t, const char *id, int64_t offset_ns, int64_t uncertainty_ns) {
  char text[256];
  snprintf(text, sizeof text,
           "{\"id\":\"%s\",\"peer\":\"tcp://c:1\",\"at_ns\":%" PRId64 ",\"offset_ns\":%" PRId64
           ",\"drift\":0.0,\"uncertainty_ns\":%" PRId64 ",\"exchanges\":9}",
           id, T0, offset_ns, uncertainty_ns);
  braid_trace_note(t->edge, "braid_session", text);
}

/* Node 0 on the edge takes 10 ms, its tensor 20 ms of the uplink, node 1 in the cloud 5 ms, its tensor 1 ms of the
 * downlink; 2 ms of delay. */
static void note_plan(struct traces *t, int epoch) {
  char text[512];
  snprintf(text, sizeof text,
           "{\"session\":\"aa\",\"epoch\":%d,\"plan\":{\"policy\":\"p\",\"edge_nodes\":[0]},\"names\":[\"first\","
           "\"second\"],"
           "\"branches\":[0,3],\"latency_ns\":40000000,\"up_delay_ns\":2000000,\"down_delay_ns\":2000000,\"spans\":"
           "[[0,0,0,0,4,0,10000000],[1,0,0,0,4,10000000,30000000],[2,0,1,0,4,32000000,37000000],[3,0,1,0,4,37000000,"
           "38000000]]}",
           epoch);
  braid_trace_note(t->edge, "braid_plan", text);
}

static struct traces *begin(void) {
  struct traces *t = calloc(1, sizeof *t);
  must(braid_trace_create("edge", 1000, &t->edge));
  must(braid_trace_create("cloud", 1000, &t->cloud));
  t->edge_w0 = braid_trace_lane(t->edge, "edge-w0");
  t->edge_sent = braid_trace_lane(t->edge, "sent");
  t->edge_came = braid_trace_lane(t->edge, "came");
  t->cloud_w0 = braid_trace_lane(t->cloud, "cloud-w0");
  t->cloud_w1 = braid_trace_lane(t->cloud, "cloud-w1");
  t->cloud_came = braid_trace_lane(t->cloud, "came 5");
  t->cloud_sent = braid_trace_lane(t->cloud, "sent 5");
  t->other_came = braid_trace_lane(t->cloud, "came 6");
  return t;
}

/* A frame as it runs: `late_ms` more in the cloud. `name` at the edge, `cloud_name` at the cloud. */
static void run_frame(struct traces *t, uint64_t name, uint64_t cloud_name, uint64_t session, uint32_t epoch,
                      uint64_t number, int64_t at, int late_ms) {
  braid_trace_span(t->edge, t->edge_w0, "first", name, 0, rows, at, at + 12 * MS);
  braid_trace_span(t->edge, t->edge_sent, "first", name, 0, rows, at + 12 * MS, at + 12 * MS);
  int64_t came = at + 34 * MS;
  braid_trace_span(t->cloud, t->cloud_came, "first", cloud_name, 0, rows, AHEAD + came, AHEAD + came);
  int64_t done = came + (5 + late_ms) * MS;
  braid_trace_span(t->cloud, t->cloud_w0, "second", cloud_name, 1, rows, AHEAD + came, AHEAD + done);
  braid_trace_span(t->cloud, t->cloud_sent, "second", cloud_name, 1, rows, AHEAD + done, AHEAD + done);
  braid_trace_span(t->edge, t->edge_came, "second", name, 1, rows, done + 3 * MS, done + 3 * MS);
  braid_trace_frame(t->edge, name, &(struct braid_trace_wire){0, epoch, number}, at, done + 4 * MS);
  braid_trace_frame(t->cloud, cloud_name, &(struct braid_trace_wire){session, epoch, number}, AHEAD + came,
                    AHEAD + done);
}

static void write_file(const struct braid_trace *trace, char path[64]) {
  snprintf(path, 64, "/tmp/braid-timeline-XXXXXX");
  int fd = mkstemp(path);
  cr_assert_geq(fd, 0);
  close(fd);
  must(braid_trace_write(trace, path));
}

static void read_back(struct traces *t) {
  write_file(t->edge, t->edge_path);
  write_file(t->cloud, t->cloud_path);
  must(traced_read(t->edge_path, &t->read_edge));
  must(traced_read(t->cloud_path, &t->read_cloud));
  unlink(t->edge_path);
  unlink(t->cloud_path);
}

static void end(struct traces *t) {
  traced_close(&t->read_edge);
  traced_close(&t->read_cloud);
  braid_trace_destroy(&t->edge);
  braid_trace_destroy(&t->cloud);
  free(t);
}

/* Two sessions with the cloud, the second after a break; frame numbers on the wire begin anew with every plan. */
static struct traces *usual(void) {
  struct traces *t = begin();
  note_session(t, "aa", AHEAD + MS / 2, 3 * MS);
  note_session(t, "bb", AHEAD, 2 * MS);
  note_session(t, "cc", 77 * MS, MS); /* with another cloud */
  braid_trace_note(t->cloud, "braid_session", "{\"id\":\"aa\",\"session\":5}");
  braid_trace_note(t->cloud, "braid_session", "{\"id\":\"ee\",\"session\":6}");
  braid_trace_note(t->cloud, "braid_session", "{\"id\":\"bb\",\"session\":7}");
  note_plan(t, 1);
  note_plan(t, 2);
  run_frame(t, 1, 11, 5, 1, 1, T0, 0);
  run_frame(t, 2, 13, 7, 2, 1, T0 + 100 * MS, 4);
  /* another edge's frame, of the same epoch and number as our first; its DATA and task are not ours */
  braid_trace_span(t->cloud, t->other_came, "first", 12, 0, rows, AHEAD + T0 + 90 * MS, AHEAD + T0 + 90 * MS);
  braid_trace_span(t->cloud, t->cloud_w1, "second", 12, 1, rows, AHEAD + T0 + 90 * MS, AHEAD + T0 + 140 * MS);
  braid_trace_frame(t->cloud, 12, &(struct braid_trace_wire){6, 1, 1}, AHEAD + T0 + 90 * MS, AHEAD + T0 + 140 * MS);
  /* one that ran alone, and one that the cloud has not ended */
  braid_trace_span(t->edge, t->edge_w0, "first", 3, 0, rows, T0 + 200 * MS, T0 + 210 * MS);
  braid_trace_frame(t->edge, 3, &(struct braid_trace_wire){0, 0, 1}, T0 + 200 * MS, T0 + 240 * MS);
  braid_trace_span(t->edge, t->edge_w0, "first", 4, 0, rows, T0 + 300 * MS, T0 + 310 * MS);
  braid_trace_span(t->edge, t->edge_sent, "first", 4, 0, rows, T0 + 310 * MS, T0 + 310 * MS);
  braid_trace_frame(t->edge, 4, &(struct braid_trace_wire){0, 2, 2}, T0 + 300 * MS, T0 + 340 * MS);
  read_back(t);
  return t;
}

static const struct timeline_row *row_of(const struct timeline_summary *s, enum braid_resource where, int node) {
  for (int i = 0; i < s->n_rows; i++)
    if (s->row[i].where == where && s->row[i].node == node) return &s->row[i];
  cr_assert(false, "no row of node %d on %s", node, timeline_resource[where]);
  return NULL;
}

static void expect_row(const struct timeline_summary *s, enum braid_resource where, int node, double planned,
                       double measured) {
  const struct timeline_row *row = row_of(s, where, node);
  cr_assert_float_eq(row->planned_ms, planned, 1e-6, "%s: planned %g", timeline_resource[where], row->planned_ms);
  cr_assert_float_eq(row->measured_ms, measured, 1e-6, "%s: measured %g", timeline_resource[where], row->measured_ms);
  cr_assert_eq(row->frames, 2);
}

Test(timeline, frames_of_two_connections_are_compared_with_their_plans) {
  struct traces *t = usual();
  struct timeline line;
  struct timeline_summary s;
  must(timeline_join(&t->read_edge, &t->read_cloud, NULL, &line));
  cr_assert_eq(line.clock.offset_ns, AHEAD, "the most certain of those with this cloud counts");
  cr_assert_eq(line.clock.uncertainty_ns, 2 * MS);
  cr_assert_eq(line.n_frames, 4);
  cr_assert(line.frame[0].whole && line.frame[1].whole && !line.frame[2].whole && !line.frame[3].whole);
  cr_assert_eq(line.n_lost, 1);
  must(timeline_compare(&line, &s));
  cr_assert_eq(s.frames, 2);
  cr_assert(s.predicted);
  cr_assert_eq(s.n_rows, 4);
  expect_row(&s, BRAID_RES_EDGE, 0, 10, 12);
  expect_row(&s, BRAID_RES_UP, 0, 20, 20);   /* 34 - 12 - 2 of delay */
  expect_row(&s, BRAID_RES_CLOUD, 1, 5, 7);  /* 5 and 9 */
  expect_row(&s, BRAID_RES_DOWN, 1, 1, 1);
  cr_assert_float_eq(s.latency_planned_ms, 40, 1e-6);
  cr_assert_float_eq(s.latency_measured_ms, (43 + 47) / 2.0, 1e-6);
  cr_assert_float_eq(s.total[BRAID_RES_UP].planned_ms, 20, 1e-6);
  double last = 1e9; /* largest difference first */
  for (int i = 0; i < s.n_rows; i++) {
    double off = fabs(s.row[i].measured_ms - s.row[i].planned_ms);
    cr_assert_leq(off, last);
    last = off;
  }
  timeline_summary_free(&s);
  timeline_close(&line);
  end(t);
}

Test(timeline, what_the_cloud_does_for_others_is_shown_and_not_counted) {
  struct traces *t = usual();
  struct timeline line;
  int others = 0;
  must(timeline_join(&t->read_edge, &t->read_cloud, NULL, &line));
  for (int i = 0; i < line.n_items; i++) {
    if (line.item[i].kind != TIMELINE_OTHERS) continue;
    others++;
    cr_assert_eq(line.item[i].begin_ns, T0 + 90 * MS);
    cr_assert_eq(line.item[i].frame, 0);
  }
  cr_assert_eq(others, 1);
  timeline_close(&line);
  end(t);
}

/* Two messages that wait for each other: the second has the wire when the first has left it. */
Test(timeline, the_wire_carries_one_message_at_a_time) {
  struct traces *t = begin();
  note_session(t, "aa", AHEAD, MS);
  braid_trace_note(t->cloud, "braid_session", "{\"id\":\"aa\",\"session\":5}");
  note_plan(t, 1);
  for (int i = 0; i < 2; i++) {
    struct braid_band half = {2 * i, 2 * i + 2};
    int64_t came = AHEAD + T0 + (12 + 10 * i) * MS;
    braid_trace_span(t->edge, t->edge_sent, "first", 1, 0, half, T0, T0);
    braid_trace_span(t->cloud, t->cloud_came, "first", 9, 0, half, came, came);
  }
  braid_trace_frame(t->edge, 1, &(struct braid_trace_wire){0, 1, 1}, T0, T0 + 40 * MS);
  braid_trace_frame(t->cloud, 9, &(struct braid_trace_wire){5, 1, 1}, AHEAD + T0, AHEAD + T0 + 30 * MS);
  read_back(t);
  struct timeline line;
  must(timeline_join(&t->read_edge, &t->read_cloud, NULL, &line));
  int n = 0;
  for (int i = 0; i < line.n_items; i++) {
    const struct timeline_item *item = &line.item[i];
    if (item->kind != TIMELINE_RAN) continue;
    cr_assert_eq(item->begin_ns, T0 + 10 * n * MS);
    cr_assert_eq(item->end_ns, T0 + 10 * (n + 1) * MS);
    cr_assert_eq(item->sent_ns, T0);
    n++;
  }
  cr_assert_eq(n, 2);
  timeline_close(&line);
  end(t);
}

Test(timeline, is_written_with_planned_rows_beside_those_that_ran) {
  struct traces *t = usual();
  struct timeline line;
  char path[64] = "/tmp/braid-timeline-XXXXXX";
  json_error_t error;
  must(timeline_join(&t->read_edge, &t->read_cloud, NULL, &line));
  int fd = mkstemp(path);
  cr_assert_geq(fd, 0);
  close(fd);
  must(timeline_write(&line, path));
  json_t *events = json_load_file(path, 0, &error);
  unlink(path);
  cr_assert(events, "line %d: %s", error.line, error.text);
  size_t i, frames = 0, ran = 0, planned = 0, lanes = 0;
  json_t *event;
  json_array_foreach(events, i, event) {
    const char *ph = json_string_value(json_object_get(event, "ph")),
               *name = json_string_value(json_object_get(event, "name"));
    const char *cat = json_string_value(json_object_get(event, "cat"));
    cr_assert(ph && name);
    frames += strcmp(ph, "b") == 0;
    lanes += strcmp(name, "thread_name") == 0;
    ran += cat && strcmp(cat, "ran") == 0;
    planned += cat && strcmp(cat, "planned") == 0;
  }
  cr_assert_eq(frames, 4);
  cr_assert_eq(ran, 2 * 4 + 2);     /* and what the other two did on the edge */
  cr_assert_eq(planned, 3 * 4);     /* that of frame 4 as well */
  cr_assert_eq(lanes, 4 * 2 + 1);   /* and the cloud's for others */
  json_decref(events);
  timeline_close(&line);
  end(t);
}

static void expect_refused(const char *text, const char *why) {
  struct traced got;
  char path[64] = "/tmp/braid-timeline-XXXXXX";
  int fd = mkstemp(path);
  cr_assert_geq(fd, 0);
  cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  close(fd);
  cr_assert_eq(traced_read(path, &got), BRAID_EFORMAT, "%s was read", text);
  cr_assert(strstr(braid_error(), path) && strstr(braid_error(), why), "'%s' says %s", text, braid_error());
  traced_close(&got);
  unlink(path);
}

Test(timeline, says_what_is_wrong_with_a_trace) {
  expect_refused("", "does not begin");
  expect_refused("{}", "does not begin");
  expect_refused("[{}]", "event 1: it has no \"ph\"");
  expect_refused("[{\"ph\":\"M\",\"name\":\"x\"},3]", "event 2 is no JSON object");
  expect_refused("[{\"ph\":\"M\",\"name\":\"x\"}", "ends after event 1");
  expect_refused("[{\"ph\":\"C\"}]", "'C'");
  expect_refused("[{\"ph\":\"e\",\"ts\":1}]", "has not begun");
  expect_refused("[{\"ph\":\"M\",\"name\":\"thread_name\",\"tid\":-1,\"args\":{\"name\":\"x\"}}]", "no lane");
  expect_refused("[{\"ph\":\"M\",\"name\":\"braid_session\",\"args\":{}}]", "\"id\" is missing");
  expect_refused("[{\"ph\":\"M\",\"name\":\"braid_plan\",\"args\":{\"epoch\":1}}]", "\"names\"");
  expect_refused("[{\"ph\":\"M\",\"name\":\"braid_plan\",\"args\":{\"epoch\":1,\"names\":[\"a\"],\"branches\":[0],"
                 "\"latency_ns\":1,"
                 "\"up_delay_ns\":0,\"down_delay_ns\":0,\"spans\":[[0,0,1,0,1,0,5]]}}]",
                 "span");
}

/* Whatever a file holds, it is read or refused; what is read can be joined, compared and written. */
Test(timeline, damaged_traces_do_no_harm) {
  struct traces *t = usual();
  char *text = NULL;
  size_t size = 0;
  write_file(t->edge, t->edge_path);
  FILE *in = fopen(t->edge_path, "r");
  cr_assert(in && getdelim(&text, &size, '\0', in) > 0);
  fclose(in);
  size_t n = strlen(text);
  int joined = 0;
  for (uint64_t seed = 0; seed < 400; seed++) {
    struct traced got;
    struct timeline line;
    struct timeline_summary s;
    FILE *out = fopen(t->edge_path, "w");
    size_t at = braid_random_u64(1, 3 * seed) % n;
    char kept = text[at];
    text[at] = "0123456789-\"{}[],:.eabM"[braid_random_u64(1, 3 * seed + 1) % 24];
    cr_assert_eq(fwrite(text, 1, seed % 5 ? n : at, out), seed % 5 ? n : at);
    fclose(out);
    text[at] = kept;
    if (traced_read(t->edge_path, &got) == BRAID_OK && timeline_join(&got, &t->read_cloud, NULL, &line) == BRAID_OK) {
      must(timeline_compare(&line, &s));
      must(timeline_write(&line, "/dev/null"));
      timeline_summary_free(&s);
      timeline_close(&line);
      joined++;
    }
    traced_close(&got);
  }
  unlink(t->edge_path);
  cr_assert_gt(joined, 20, "most digits do not matter");
  free(text);
  end(t);
}

Test(timeline, needs_a_session_in_common) {
  struct traces *t = begin();
  struct timeline line;
  note_session(t, "aa", 0, MS);
  braid_trace_note(t->cloud, "braid_session", "{\"id\":\"ab\",\"session\":5}");
  read_back(t);
  cr_assert_eq(timeline_join(&t->read_edge, &t->read_cloud, NULL, &line), BRAID_EINVAL);
  cr_assert_eq(timeline_join(&t->read_edge, &t->read_edge, NULL, &line), BRAID_EINVAL, "two edges");
  end(t);
}
