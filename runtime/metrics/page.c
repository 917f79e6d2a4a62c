/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_BYTES = 8 << 10, NAME_BYTES = 96 };

struct metrics_page {
  char *text;
  size_t bytes, capacity;
  bool failed;
  char family[NAME_BYTES];
};

enum braid_status metrics_page_create(struct metrics_page **out) {
  struct metrics_page *page = braid_calloc(1, sizeof *page);
  if (!page) return braid_fail(BRAID_ENOMEM, "no memory for a page of metrics");
  *out = page;
  return BRAID_OK;
}

void metrics_page_destroy(struct metrics_page **page) {
  if (!*page) return;
  braid_free((*page)->text);
  braid_free(*page);
  *page = NULL;
}

const char *metrics_page_text(struct metrics_page *page, size_t *bytes) {
  *bytes = page->bytes;
  if (page->failed) return NULL;
  return page->text ? page->text : "";
}

static bool grow(struct metrics_page *page, size_t more) {
  size_t capacity = page->capacity ? page->capacity : FIRST_BYTES;
  while (capacity - page->bytes <= more) capacity *= 2;
  if (capacity == page->capacity) return true;
  char *text = braid_realloc(page->text, capacity);
  if (!text) return false;
  page->text = text;
  page->capacity = capacity;
  return true;
}

static void put(struct metrics_page *page, const char *format, ...) BRAID_PRINTF(2, 3);
static void put(struct metrics_page *page, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  page->failed = page->failed || n < 0 || !grow(page, (size_t)n + 1);
  if (page->failed) return;
  va_start(args, format);
  vsnprintf(page->text + page->bytes, page->capacity - page->bytes, format, args);
  va_end(args);
  page->bytes += (size_t)n;
}

void metrics_family(struct metrics_page *page, const char *name, enum metrics_kind kind, const char *help) {
  static const char *const kinds[] = {"counter", "gauge", "histogram"};
  snprintf(page->family, sizeof page->family, "%s", name);
  put(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

static void put_number(struct metrics_page *page, double value) {
  if (isnan(value))
    put(page, "NaN\n");
  else if (isinf(value))
    put(page, value > 0 ? "+Inf\n" : "-Inf\n");
  else
    put(page, "%.10g\n", value);
}

static void put_sample(struct metrics_page *page, const char *suffix, const char *labels, double value) {
  put(page, *labels ? "%s%s{%s} " : "%s%s%s ", page->family, suffix, labels);
  put_number(page, value);
}

void metrics_sample(struct metrics_page *page, const char *labels, double value) {
  put_sample(page, "", labels, value);
}

void metrics_value(struct metrics_page *page, const char *name, enum metrics_kind kind, const char *help,
                   double value) {
  metrics_family(page, name, kind, help);
  metrics_sample(page, "", value);
}

void metrics_histogram(struct metrics_page *page, const double *bound_s, const uint64_t *count, int n, double sum_s) {
  uint64_t so_far = 0;
  for (int i = 0; i <= n; i++) {
    char label[48];
    so_far += count[i];
    if (i < n)
      snprintf(label, sizeof label, "le=\"%g\"", bound_s[i]);
    else
      snprintf(label, sizeof label, "le=\"+Inf\"");
    put_sample(page, "_bucket", label, (double)so_far);
  }
  put_sample(page, "_sum", "", sum_s);
  put_sample(page, "_count", "", (double)so_far);
}

const char *metrics_label(char *buf, size_t size, const char *name, const char *value) {
  size_t at = (size_t)snprintf(buf, size, "%s=\"", name);
  for (; *value && at + 4 < size; value++) {
    if (*value == '\\' || *value == '"' || *value == '\n') buf[at++] = '\\';
    buf[at++] = *value == '\n' ? 'n' : *value;
  }
  if (at + 1 < size) snprintf(buf + at, size - at, "\"");
  return buf;
}
