/* SPDX-License-Identifier: Apache-2.0
 * Reads a trace event by event: a trace of a million events never is one JSON value in memory. */
#include "traced.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NODES_MAX = 1 << 17, LANES_MAX = 1 << 16, BUCKETS = 4096 };

/* -------------------------------------------------------------------------------------------------- memory */

bool traced_grow(void *array, int n, size_t size) {
  void *old, *more;
  memcpy(&old, array, sizeof old);
  if (n > 0 && (n & (n - 1)) != 0) return true;
  more = braid_realloc(old, (size_t)(n > 0 ? 2 * n : 1) * size);
  if (!more) return (void)braid_fail(BRAID_ENOMEM, "no memory for %d events", n), false;
  memcpy(array, &more, sizeof more);
  return true;
}

/* Every name once: a trace says few names very often. */
struct name {
  struct name *next;
  char text[];
};
struct traced_names {
  struct name *bucket[BUCKETS];
};

static unsigned hash_of(const char *text) {
  unsigned h = 2166136261u; /* FNV-1a */
  for (const char *c = text; *c; c++) h = (h ^ (unsigned char)*c) * 16777619u;
  return h % BUCKETS;
}

const char *traced_name(struct traced *t, const char *text) {
  if (!t->names) t->names = braid_calloc(1, sizeof *t->names);
  if (!t->names) return (void)braid_fail(BRAID_ENOMEM, "no memory for names"), NULL;
  struct name **at = &t->names->bucket[hash_of(text)];
  for (struct name *n = *at; n; n = n->next)
    if (strcmp(n->text, text) == 0) return n->text;
  size_t bytes = strlen(text) + 1;
  struct name *new = braid_malloc(sizeof *new + bytes);
  if (!new) return (void)braid_fail(BRAID_ENOMEM, "no memory for names"), NULL;
  memcpy(new->text, text, bytes);
  new->next = *at;
  *at = new;
  return new->text;
}

void traced_plan_free(struct traced_plan *plan) {
  braid_free(plan->name);
  braid_free(plan->branch);
  braid_free(plan->span);
}

void traced_close(struct traced *t) {
  for (int i = 0; i < t->n_plans; i++) traced_plan_free(&t->plan[i]);
  for (int i = 0; t->names && i < BUCKETS; i++)
    for (struct name *n; (n = t->names->bucket[i]);) {
      t->names->bucket[i] = n->next;
      braid_free(n);
    }
  braid_free(t->names);
  braid_free(t->lane);
  braid_free(t->span);
  braid_free(t->frame);
  braid_free(t->session);
  braid_free(t->plan);
  *t = (struct traced){.path = t->path};
}

/* -------------------------------------------------------------------------------------------------- values */

static enum braid_status bad(const char *what) {
  return braid_fail(BRAID_EFORMAT, "%s", what);
}

static enum braid_status get_int(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *out) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
    return braid_fail(BRAID_EFORMAT, "\"%s\" is no integer, or none of %lld to %lld", key, (long long)min,
                      (long long)max);
  *out = json_integer_value(value);
  return BRAID_OK;
}

static enum braid_status get_ns(const json_t *event, const char *key, int64_t *ns) {
  const json_t *value = json_object_get(event, key);
  double us = json_number_value(value);
  if (!json_is_number(value) || !(fabs(us) < 1e15)) return braid_fail(BRAID_EFORMAT, "\"%s\" is no time", key);
  *ns = llround(us * 1e3);
  return BRAID_OK;
}

static void get_text(const json_t *object, const char *key, char *buf, size_t size) {
  const char *text = json_string_value(json_object_get(object, key));
  snprintf(buf, size, "%s", text ? text : "");
}

/* --------------------------------------------------------------------------------------------------- events */

static enum braid_status add_lane(struct traced *t, int64_t tid, const char *name) {
  if (tid < 0 || tid > LANES_MAX || !name) return bad("it names no lane");
  while (t->n_lanes <= tid) {
    if (!traced_grow(&t->lane, t->n_lanes, sizeof *t->lane)) return BRAID_ENOMEM;
    t->lane[t->n_lanes++] = NULL;
  }
  t->lane[tid] = traced_name(t, name);
  return t->lane[tid] ? BRAID_OK : BRAID_ENOMEM;
}

static enum braid_status add_span(struct traced *t, const json_t *event) {
  const json_t *args = json_object_get(event, "args");
  const char *name = json_string_value(json_object_get(event, "name"));
  const char *rows = json_string_value(json_object_get(args, "rows"));
  int64_t lane = 0, node = 0, frame = 0;
  struct traced_span s = {.lane = 0};
  BRAID_TRY(get_int(event, "tid", 0, LANES_MAX, &lane));
  BRAID_TRY(get_int(args, "node", -1, NODES_MAX, &node));
  BRAID_TRY(get_int(args, "frame", 0, INT64_MAX, &frame));
  BRAID_TRY(get_ns(event, "ts", &s.begin_ns));
  BRAID_TRY(get_ns(event, "dur", &s.end_ns));
  if (!name || !rows || sscanf(rows, "%d-%d", &s.band.begin, &s.band.end) != 2)
    return bad("a span without name or rows");
  s.end_ns += s.begin_ns;
  s.lane = (int)lane;
  s.node = (int)node;
  s.frame = (uint64_t)frame;
  s.name = traced_name(t, name);
  if (!s.name || !traced_grow(&t->span, t->n_spans, sizeof *t->span)) return BRAID_ENOMEM;
  t->span[t->n_spans++] = s;
  return BRAID_OK;
}

static enum braid_status begin_frame(struct traced *t, const json_t *event) {
  const json_t *args = json_object_get(event, "args");
  int64_t frame = 0, session = 0, epoch = 0, number = 0;
  struct traced_frame f = {0};
  BRAID_TRY(get_int(args, "frame", 0, INT64_MAX, &frame));
  BRAID_TRY(get_int(args, "session", 0, INT64_MAX, &session));
  BRAID_TRY(get_int(args, "epoch", 0, UINT32_MAX, &epoch));
  BRAID_TRY(get_int(args, "number", 0, INT64_MAX, &number));
  BRAID_TRY(get_ns(event, "ts", &f.begin_ns));
  f.name = (uint64_t)frame;
  f.wire = (struct braid_trace_wire){(uint64_t)session, (uint32_t)epoch, (uint64_t)number};
  f.end_ns = f.begin_ns;
  if (!traced_grow(&t->frame, t->n_frames, sizeof *t->frame)) return BRAID_ENOMEM;
  t->frame[t->n_frames++] = f;
  return BRAID_OK;
}

/* The end stands right behind its beginning. */
static enum braid_status end_frame(struct traced *t, const json_t *event) {
  if (t->n_frames == 0) return bad("a frame ends that has not begun");
  return get_ns(event, "ts", &t->frame[t->n_frames - 1].end_ns);
}

/* ---------------------------------------------------------------------------------------------------- notes */

static enum braid_status add_session(struct traced *t, const json_t *args) {
  struct traced_session s = {.number = 0};
  int64_t number = 0;
  get_text(args, "id", s.id, sizeof s.id);
  get_text(args, "peer", s.peer, sizeof s.peer);
  if (!s.id[0]) return bad("\"id\" is missing");
  if (json_object_get(args, "session")) BRAID_TRY(get_int(args, "session", 0, INT64_MAX, &number));
  s.number = (uint64_t)number;
  if (json_object_get(args, "offset_ns")) {
    const int64_t far = INT64_C(1) << 61;
    s.has_clock = true;
    BRAID_TRY(get_int(args, "at_ns", -far, far, &s.clock.at_ns));
    BRAID_TRY(get_int(args, "offset_ns", -far, far, &s.clock.offset_ns));
    BRAID_TRY(get_int(args, "uncertainty_ns", 0, far, &s.clock.uncertainty_ns));
    s.clock.drift = json_number_value(json_object_get(args, "drift"));
    if (!(fabs(s.clock.drift) < 0.01)) return bad("\"drift\" is beyond belief");
  }
  if (!traced_grow(&t->session, t->n_sessions, sizeof *t->session)) return BRAID_ENOMEM;
  t->session[t->n_sessions++] = s;
  return BRAID_OK;
}

static enum braid_status read_nodes(struct traced *t, const json_t *args, struct traced_plan *p) {
  const json_t *names = json_object_get(args, "names"), *branches = json_object_get(args, "branches");
  size_t n = json_array_size(names);
  if (n == 0 || n > NODES_MAX || json_array_size(branches) != n) return bad("\"names\" or \"branches\" are missing");
  p->n_nodes = (int)n;
  p->name = braid_calloc(n, sizeof *p->name);
  p->branch = braid_calloc(n, sizeof *p->branch);
  if (!p->name || !p->branch) return braid_fail(BRAID_ENOMEM, "no memory for a plan of %zu nodes", n);
  for (size_t i = 0; i < n; i++) {
    const char *name = json_string_value(json_array_get(names, i));
    p->name[i] = traced_name(t, name ? name : "");
    p->branch[i] = (int)json_integer_value(json_array_get(branches, i));
    if (!p->name[i]) return BRAID_ENOMEM;
  }
  return BRAID_OK;
}

/* [resource, lane, node, first row, behind the last, begin_ns, end_ns] */
static enum braid_status read_span(const json_t *from, int n_nodes, struct braid_span *out) {
  json_int_t v[7];
  for (size_t i = 0; i < 7; i++) v[i] = json_integer_value(json_array_get(from, i));
  bool fits = json_array_size(from) == 7 && v[0] >= 0 && v[0] <= BRAID_RES_DOWN && v[1] >= 0 && v[1] <= LANES_MAX &&
              v[2] >= 0 && v[2] < n_nodes && v[3] >= 0 && v[3] <= v[4] && v[4] <= INT32_MAX && v[5] >= 0 &&
              v[6] >= v[5] && v[6] < INT64_C(1) << 60;
  if (!fits) return bad("an expected span is none");
  *out = (struct braid_span){(enum braid_resource)v[0], (int)v[1], 0, (int)v[2], {(int)v[3], (int)v[4]}, v[5], v[6]};
  return BRAID_OK;
}

static enum braid_status read_prediction(const json_t *args, struct traced_plan *p) {
  const json_t *spans = json_object_get(args, "spans");
  const int64_t far = INT64_C(1) << 60;
  if (!spans) return BRAID_OK;
  BRAID_TRY(get_int(args, "latency_ns", 0, far, &p->latency_ns));
  BRAID_TRY(get_int(args, "up_delay_ns", 0, far, &p->up_delay_ns));
  BRAID_TRY(get_int(args, "down_delay_ns", 0, far, &p->down_delay_ns));
  size_t n = json_array_size(spans);
  p->span = n < (1 << 24) ? braid_calloc(n + 1, sizeof *p->span) : NULL;
  if (!p->span) return braid_fail(BRAID_ENOMEM, "no memory for %zu expected spans", n);
  for (size_t i = 0; i < n; i++) BRAID_TRY(read_span(json_array_get(spans, i), p->n_nodes, &p->span[i]));
  p->n_spans = (int)n;
  p->predicted = true;
  return BRAID_OK;
}

static enum braid_status add_plan(struct traced *t, const json_t *args) {
  if (!traced_grow(&t->plan, t->n_plans, sizeof *t->plan)) return BRAID_ENOMEM;
  struct traced_plan *p = &t->plan[t->n_plans++];
  int64_t epoch = 0;
  *p = (struct traced_plan){.epoch = 0};
  BRAID_TRY(get_int(args, "epoch", 0, UINT32_MAX, &epoch));
  p->epoch = (uint32_t)epoch;
  get_text(args, "session", p->session, sizeof p->session);
  get_text(json_object_get(args, "plan"), "policy", p->policy, sizeof p->policy);
  BRAID_TRY(read_nodes(t, args, p));
  p->in_cloud = json_array_size(json_object_get(json_object_get(args, "plan"), "edge_nodes")) < (size_t)p->n_nodes;
  return read_prediction(args, p);
}

static enum braid_status take_metadata(struct traced *t, const json_t *event) {
  const char *what = json_string_value(json_object_get(event, "name"));
  const json_t *args = json_object_get(event, "args");
  if (!what) return bad("a metadata event without a name");
  if (strcmp(what, "thread_name") == 0)
    return add_lane(t, json_integer_value(json_object_get(event, "tid")),
                    json_string_value(json_object_get(args, "name")));
  if (strcmp(what, "process_labels") == 0) get_text(args, "labels", t->dropped, sizeof t->dropped);
  if (strcmp(what, "braid_session") == 0) return add_session(t, args);
  return strcmp(what, "braid_plan") == 0 ? add_plan(t, args) : BRAID_OK;
}

/* ---------------------------------------------------------------------------------------------------- file */

static enum braid_status take_event(struct traced *t, const json_t *event) {
  const char *phase = json_string_value(json_object_get(event, "ph"));
  if (!phase || strlen(phase) != 1) return bad("it has no \"ph\"");
  switch (*phase) {
  case 'M':
    return take_metadata(t, event);
  case 'X':
    return add_span(t, event);
  case 'b':
    return begin_frame(t, event);
  case 'e':
    return end_frame(t, event);
  default:
    return braid_fail(BRAID_EFORMAT, "\"ph\" is '%s', which no trace of braid has", phase);
  }
}

static int next_char(FILE *file) {
  int c;
  do c = fgetc(file);
  while (c == ' ' || c == '\n' || c == '\r' || c == '\t');
  return c;
}

/* jansson takes one value at a time and leaves what follows in the file. */
static enum braid_status read_events(FILE *file, struct traced *t) {
  if (next_char(file) != '[') return bad("it does not begin with '['");
  int c = next_char(file);
  for (int n = 1; c != ']'; n++) {
    json_error_t why;
    if (c == '{') ungetc(c, file);
    json_t *event = c == '{' ? json_loadf(file, JSON_DISABLE_EOF_CHECK, &why) : NULL;
    if (!event)
      return braid_fail(BRAID_EFORMAT, "event %d is no JSON object%s%s", n, c == '{' ? ": " : "",
                        c == '{' ? why.text : "");
    enum braid_status status = take_event(t, event);
    json_decref(event);
    if (status != BRAID_OK) return braid_fail_in(status, "event %d", n);
    c = next_char(file);
    if (c == ',') c = next_char(file);
    else if (c != ']') return braid_fail(BRAID_EFORMAT, "it ends after event %d (was it written to the end?)", n);
  }
  return BRAID_OK;
}

enum braid_status traced_read(const char *path, struct traced *out) {
  *out = (struct traced){.path = path};
  FILE *file = fopen(path, "r");
  if (!file) return braid_fail(BRAID_EIO, "%s: %s", path, strerror(errno));
  enum braid_status status = read_events(file, out);
  fclose(file);
  return status == BRAID_OK ? status : braid_fail_in(status, "%s: not a trace of braid", path);
}

/* -------------------------------------------------------------------------------------------------- predicting */

static void keep_span(void *ctx, const struct braid_span *span) {
  struct traced_plan *p = ctx;
  if (!p->predicted) return; /* no memory for one before */
  p->predicted = traced_grow(&p->span, p->n_spans, sizeof *p->span);
  if (p->predicted) p->span[p->n_spans++] = *span;
}

enum braid_status traced_predict(struct traced *t, const struct braid_plan *plan, const struct braid_graph *graph,
                                 const struct braid_costs *costs, struct traced_plan *out) {
  struct braid_sim_opts opts = {.frames = 1, .window = 1, .span = keep_span, .ctx = out};
  struct braid_sim_result result;
  int n = braid_graph_size(graph);
  *out = (struct traced_plan){.predicted = true, .n_nodes = n, .up_delay_ns = costs->up.delay_ns,
                              .down_delay_ns = costs->down.delay_ns};
  snprintf(out->policy, sizeof out->policy, "%s", plan->policy);
  out->name = braid_calloc((size_t)n, sizeof *out->name);
  out->branch = braid_calloc((size_t)n, sizeof *out->branch);
  if (!out->name || !out->branch) return braid_fail(BRAID_ENOMEM, "no memory for a plan of %d nodes", n);
  for (int i = 0; i < n; i++) {
    out->in_cloud = out->in_cloud || plan->site[i] == BRAID_CLOUD;
    out->name[i] = traced_name(t, braid_graph_node(graph, i)->name);
    out->branch[i] = braid_graph_branch_of(graph, i);
    if (!out->name[i]) return BRAID_ENOMEM;
  }
  BRAID_TRY(braid_simulate(plan, graph, costs, &opts, &result));
  out->latency_ns = result.first_latency_ns;
  return out->predicted ? BRAID_OK : braid_fail(BRAID_ENOMEM, "no memory for the timeline");
}
