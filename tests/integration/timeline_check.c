/* SPDX-License-Identifier: Apache-2.0
 * timeline_check MERGED.json DELAY_MS: is the timeline that `braid timeline -o` wrote possible? On the edge's clock no
 * message may come before it was sent, nor earlier than the link's delay after that, by more than the offset of the
 * clocks is uncertain; and on a row of the picture one thing happens at a time. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLUR_US 0.002 /* times are written with three digits */

static int failures;

static void fail(const char *what, const json_t *event) {
  char *text = json_dumps(event, JSON_COMPACT);
  fprintf(stderr, "FAILED: %s: %s\n", what, text ? text : "");
  free(text);
  failures++;
}

static double real_of(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static int is(const json_t *event, const char *key, const char *value) {
  const char *text = json_string_value(json_object_get(event, key));
  return text && strcmp(text, value) == 0;
}

static double uncertainty_us(const json_t *events) {
  size_t i;
  json_t *event;
  json_array_foreach(events, i, event)
    if (is(event, "name", "braid_clock")) return real_of(json_object_get(event, "args"), "uncertainty_us");
  fprintf(stderr, "FAILED: the timeline does not say how certain its clock is\n");
  exit(1);
}

/* Returns how many messages go that way. */
static int check_messages(const json_t *events, int pid, double delay_us, double uncertain_us) {
  size_t i;
  json_t *event;
  int n = 0;
  double least_us = 1e18;
  json_array_foreach(events, i, event) {
    const json_t *args = json_object_get(event, "args");
    if (!is(event, "cat", "ran") || json_integer_value(json_object_get(event, "pid")) != pid) continue;
    if (!json_object_get(args, "sent_us")) fail("a message does not say when it was sent", event);
    double way_us = real_of(args, "came_us") - real_of(args, "sent_us");
    if (way_us < delay_us - uncertain_us) fail("a message comes before it can", event);
    if (way_us < least_us) least_us = way_us;
    n++;
  }
  printf("%d messages over link %d: %.3f ms at least, %.3f ms are the delay, the clocks agree to within %.3f ms\n", n,
         pid, least_us / 1e3, delay_us / 1e3, uncertain_us / 1e3);
  return n;
}

struct box {
  int pid, tid;
  double begin, end;
  const json_t *event;
};

static int by_place(const void *a, const void *b) {
  const struct box *x = a, *y = b;
  if (x->pid != y->pid) return x->pid - y->pid;
  if (x->tid != y->tid) return x->tid - y->tid;
  return (x->begin > y->begin) - (x->begin < y->begin);
}

static void check_rows(const json_t *events) {
  struct box *box = calloc(json_array_size(events) + 1, sizeof *box);
  size_t i, n = 0;
  json_t *event;
  json_array_foreach(events, i, event) {
    if (!is(event, "ph", "X")) continue;
    double ts = real_of(event, "ts");
    box[n++] =
        (struct box){(int)json_integer_value(json_object_get(event, "pid")),
                     (int)json_integer_value(json_object_get(event, "tid")), ts, ts + real_of(event, "dur"), event};
  }
  qsort(box, n, sizeof *box, by_place);
  for (i = 1; i < n; i++)
    if (box[i].pid == box[i - 1].pid && box[i].tid == box[i - 1].tid && box[i].begin < box[i - 1].end - BLUR_US)
      fail("two things at once on a row", box[i].event);
  free(box);
}

static void check_named(const json_t *events, const char *what, const char *name) {
  size_t i;
  json_t *event;
  json_array_foreach(events, i, event)
    if (is(event, "name", what) && is(json_object_get(event, "args"), "name", name)) return;
  fprintf(stderr, "FAILED: no %s '%s'\n", what, name);
  failures++;
}

int main(int argc, char **argv) {
  json_error_t why;
  json_t *events = argc == 3 ? json_load_file(argv[1], 0, &why) : NULL;
  if (!json_is_array(events)) {
    fprintf(stderr, "FAILED: %s is no trace: %s\n", argc > 1 ? argv[1] : "(nothing)", why.text);
    return 1;
  }
  double delay_us = 1e3 * atof(argv[2]), uncertain_us = uncertainty_us(events);
  int up = check_messages(events, 2, delay_us, uncertain_us), down = check_messages(events, 3, delay_us, uncertain_us);
  if (up == 0 || down == 0) {
    fprintf(stderr, "FAILED: %d messages up, %d down\n", up, down);
    failures++;
  }
  check_rows(events);
  const char *const process[] = {"edge", "link up", "link down", "cloud"};
  for (int i = 0; i < 4; i++) check_named(events, "process_name", process[i]);
  check_named(events, "thread_name", "worker 0");
  check_named(events, "thread_name", "worker 0, planned");
  check_named(events, "thread_name", "wire, planned");
  json_decref(events);
  return failures > 0;
}
