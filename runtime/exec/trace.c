/* SPDX-License-Identifier: Apache-2.0
 * Trace: spans in a bounded buffer, written as a Chrome trace (the JSON array form, an event a line). Frames are
 * asynchronous events, since several are in flight at once; what else there is to know of the run are metadata events
 * of our own names, which viewers pass over (docs/timeline.md).
 *
 * Recording takes a slot with one atomic add and publishes it with one release store: wait-free, no lock, no
 * allocation. Slots are never reused; when they are used up, further spans are only counted. */
#include "braid/runtime.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LANES = 4096, MAX_NOTES = 4096, MAX_NOTES_BYTES = 32 << 20, FRAME_LANE = -1 };

struct event {
  atomic_bool written; /* release by the recorder, acquire by the writer of the file */
  int lane, node;      /* of a frame: FRAME_LANE, the plan's epoch */
  union {
    struct {
      const char *name;
      struct braid_band band;
    };
    struct {
      uint64_t session, number;
    } wire; /* of a frame */
  };
  uint64_t frame;
  int64_t begin_ns, end_ns;
};

struct note {
  char *name, *args;
};

struct braid_trace {
  struct braid_trace *self; /* for writing, which changes nothing that the caller sees, but locks */
  char *process_name;
  size_t max_events;
  struct event *event;
  atomic_size_t next;    /* relaxed: only hands out slots */
  pthread_mutex_t mutex; /* one adder of lanes or notes at a time */
  atomic_int n_lanes;    /* release by the adder, acquire by the writer of the file */
  char *lane[MAX_LANES];
  /* --- under mutex */
  int n_notes, lost_notes;
  size_t notes_bytes;
  struct note note[MAX_NOTES];
};

enum braid_status braid_trace_create(const char *process_name, size_t max_events, struct braid_trace **out) {
  struct braid_trace *trace = braid_calloc(1, sizeof *trace);
  if (!trace) return braid_fail(BRAID_ENOMEM, "no memory for a trace");
  trace->self = trace;
  pthread_mutex_init(&trace->mutex, NULL);
  trace->process_name = braid_strdup(process_name);
  trace->event = braid_calloc(max_events, sizeof *trace->event);
  trace->max_events = max_events;
  if (!trace->process_name || !trace->event) {
    braid_trace_destroy(&trace);
    return braid_fail(BRAID_ENOMEM, "no memory for a trace of %zu events", max_events);
  }
  *out = trace;
  return BRAID_OK;
}

void braid_trace_destroy(struct braid_trace **trace) {
  struct braid_trace *t = *trace;
  if (!t) return;
  for (int i = 0; i < atomic_load(&t->n_lanes); i++) braid_free(t->lane[i]);
  for (int i = 0; i < t->n_notes; i++) {
    braid_free(t->note[i].name);
    braid_free(t->note[i].args);
  }
  pthread_mutex_destroy(&t->mutex);
  braid_free(t->process_name);
  braid_free(t->event);
  braid_free(t);
  *trace = NULL;
}

/* A lane that cannot be had (too many, no memory) is -1: its spans are left out, which is all a trace may cost. */
int braid_trace_lane(struct braid_trace *trace, const char *name) {
  if (!trace) return -1;
  int lane = -1;
  pthread_mutex_lock(&trace->mutex);
  int n = atomic_load_explicit(&trace->n_lanes, memory_order_relaxed);
  char *copy = n < MAX_LANES ? braid_strdup(name) : NULL;
  if (copy) {
    lane = n;
    trace->lane[n] = copy;
    atomic_store_explicit(&trace->n_lanes, n + 1, memory_order_release);
  }
  pthread_mutex_unlock(&trace->mutex);
  return lane;
}

/* NULL: there is none left. */
static struct event *take_slot(struct braid_trace *trace) {
  size_t slot = atomic_fetch_add_explicit(&trace->next, 1, memory_order_relaxed);
  return slot < trace->max_events ? &trace->event[slot] : NULL;
}

static void publish(struct event *event) {
  atomic_store_explicit(&event->written, true, memory_order_release); /* pairs with write_events */
}

void braid_trace_span(struct braid_trace *trace, int lane, const char *name, uint64_t frame, int node,
                      struct braid_band band, int64_t begin_ns, int64_t end_ns) {
  struct event *event = trace && lane >= 0 ? take_slot(trace) : NULL;
  if (!event) return;
  event->lane = lane;
  event->node = node;
  event->name = name;
  event->frame = frame;
  event->band = band;
  event->begin_ns = begin_ns;
  event->end_ns = end_ns;
  publish(event);
}

void braid_trace_frame(struct braid_trace *trace, uint64_t frame, const struct braid_trace_wire *wire, int64_t begin_ns,
                       int64_t end_ns) {
  struct event *event = trace ? take_slot(trace) : NULL;
  if (!event) return;
  event->lane = FRAME_LANE;
  event->node = (int)wire->epoch;
  event->wire.session = wire->session;
  event->wire.number = wire->number;
  event->frame = frame;
  event->begin_ns = begin_ns;
  event->end_ns = end_ns;
  publish(event);
}

/* A note that cannot be had is left out, and counted. */
void braid_trace_note(struct braid_trace *trace, const char *name, const char *args) {
  if (!trace) return;
  size_t bytes = strlen(name) + strlen(args);
  pthread_mutex_lock(&trace->mutex);
  bool room = trace->n_notes < MAX_NOTES && trace->notes_bytes + bytes <= MAX_NOTES_BYTES;
  struct note note = {room ? braid_strdup(name) : NULL, room ? braid_strdup(args) : NULL};
  if (note.name && note.args) {
    trace->note[trace->n_notes++] = note;
    trace->notes_bytes += bytes;
  } else {
    braid_free(note.name);
    braid_free(note.args);
    trace->lost_notes++;
  }
  pthread_mutex_unlock(&trace->mutex);
}

static void write_string(FILE *file, const char *text) {
  fputc('"', file);
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '"' || *c == '\\')
      fprintf(file, "\\%c", *c);
    else if (*c < 0x20 || *c >= 0x7f) /* JSON must be UTF-8 and names may be anything: bytes as Latin-1 */
      fprintf(file, "\\u%04x", *c);
    else
      fputc(*c, file);
  }
  fputc('"', file);
}

static void write_metadata(FILE *file, int pid, int tid, const char *what, const char *key, const char *value) {
  fprintf(file, "{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"%s\",\"args\":{\"%s\":", pid, tid, what, key);
  write_string(file, value);
  fputs("}}", file);
}

static void write_lanes(FILE *file, int pid, const struct braid_trace *trace) {
  int n = atomic_load_explicit(&trace->n_lanes, memory_order_acquire);
  for (int i = 0; i < n; i++) {
    fputs(",\n", file);
    write_metadata(file, pid, i + 1, "thread_name", "name", trace->lane[i]);
    fprintf(file, ",\n{\"ph\":\"M\",\"pid\":%d,\"tid\":%d,\"name\":\"thread_sort_index\",\"args\":{\"sort_index\":%d}}",
            pid, i + 1, i);
  }
}

/* Microseconds with the nanoseconds behind the point, without going through floating point. */
static void write_us(FILE *file, const char *key, int64_t ns) {
  const char *sign = ns < 0 ? "-" : "";
  uint64_t abs = ns < 0 ? (uint64_t)0 - (uint64_t)ns : (uint64_t)ns;
  fprintf(file, ",\"%s\":%s%llu.%03llu", key, sign, (unsigned long long)(abs / 1000), (unsigned long long)(abs % 1000));
}

/* The pair of an asynchronous event; "local": its number is this process's own. */
static void write_frame(FILE *file, int pid, const struct event *event) {
  unsigned long long frame = event->frame;
  for (int end = 0; end <= 1; end++) {
    fprintf(file,
            ",\n{\"ph\":\"%c\",\"cat\":\"frame\",\"pid\":%d,\"tid\":0,\"id2\":{\"local\":\"%llu\"},\"name\":\"frame\"",
            end ? 'e' : 'b', pid, frame);
    write_us(file, "ts", end ? event->end_ns : event->begin_ns);
    if (!end)
      fprintf(file, ",\"args\":{\"frame\":%llu,\"session\":%llu,\"epoch\":%u,\"number\":%llu}", frame,
              (unsigned long long)event->wire.session, (unsigned)event->node, (unsigned long long)event->wire.number);
    fputc('}', file);
  }
}

static void write_span(FILE *file, int pid, const struct event *event) {
  fprintf(file, ",\n{\"ph\":\"X\",\"pid\":%d,\"tid\":%d,\"name\":", pid, event->lane + 1);
  write_string(file, event->name);
  write_us(file, "ts", event->begin_ns);
  write_us(file, "dur", event->end_ns - event->begin_ns);
  fprintf(file, ",\"args\":{\"frame\":%llu,\"node\":%d,\"rows\":\"%d-%d\"}}", (unsigned long long)event->frame,
          event->node, event->band.begin, event->band.end);
}

static void write_events(FILE *file, int pid, const struct braid_trace *trace, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const struct event *event = &trace->event[i];
    if (!atomic_load_explicit(&event->written, memory_order_acquire)) continue; /* being recorded right now */
    if (event->lane == FRAME_LANE)
      write_frame(file, pid, event);
    else
      write_span(file, pid, event);
  }
}

static void write_notes(FILE *file, int pid, const struct braid_trace *trace) {
  pthread_mutex_lock(&trace->self->mutex);
  for (int i = 0; i < trace->n_notes; i++) {
    fprintf(file, ",\n{\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"name\":", pid);
    write_string(file, trace->note[i].name);
    fprintf(file, ",\"args\":%s}", trace->note[i].args);
  }
  pthread_mutex_unlock(&trace->self->mutex);
}

static void write_all(FILE *file, const struct braid_trace *trace) {
  int pid = (int)getpid();
  size_t asked = atomic_load_explicit(&trace->next, memory_order_relaxed);
  size_t kept = asked < trace->max_events ? asked : trace->max_events;
  fputs("[\n", file);
  write_metadata(file, pid, 0, "process_name", "name", trace->process_name);
  if (asked > kept || trace->lost_notes > 0) {
    char text[64];
    snprintf(text, sizeof text, "%zu events dropped: the trace was full", asked - kept + (size_t)trace->lost_notes);
    fputs(",\n", file);
    write_metadata(file, pid, 0, "process_labels", "labels", text);
  }
  write_lanes(file, pid, trace);
  write_notes(file, pid, trace);
  write_events(file, pid, trace, kept);
  fputs("\n]\n", file);
}

enum braid_status braid_trace_write(const struct braid_trace *trace, const char *path) {
  FILE *file = fopen(path, "w");
  if (!file) return braid_fail(BRAID_EIO, "%s: cannot be written: %s", path, strerror(errno));
  write_all(file, trace);
  bool failed = ferror(file) != 0;
  if (fclose(file) != 0 || failed)
    return braid_fail(BRAID_EIO, "%s: writing the trace failed: %s", path, strerror(errno));
  return BRAID_OK;
}
