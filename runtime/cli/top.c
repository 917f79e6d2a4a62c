/* SPDX-License-Identifier: Apache-2.0
 * The best classes of an answer. */
#include "cli.h"
#include "io.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------------ labels */

static int count_lines(const char *text, size_t size) {
  int n = size > 0 && text[size - 1] != '\n';
  for (size_t i = 0; i < size; i++) n += text[i] == '\n';
  return n;
}

static char *copy_line(const char *text, size_t n) {
  while (n > 0 && text[n - 1] == '\r') n--;
  char *line = braid_malloc(n + 1);
  if (!line) return NULL;
  memcpy(line, text, n);
  line[n] = '\0';
  return line;
}

static void split_lines(const char *text, size_t size, struct cli_labels *out) {
  const char *end = text + size;
  for (int i = 0; i < out->n; i++) {
    const char *stop = memchr(text, '\n', (size_t)(end - text));
    size_t n = (size_t)((stop ? stop : end) - text);
    out->line[i] = copy_line(text, n);
    text += n + (stop != NULL);
  }
}

int cli_labels_read(const char *path, struct cli_labels *out) {
  *out = (struct cli_labels){0};
  if (!path) return CLI_DONE;
  uint8_t *data;
  size_t size;
  if (io_read_file(path, (size_t)16 << 20, &data, &size) != BRAID_OK) return cli_fail(CLI_BAD_INPUT);
  int n = count_lines((const char *)data, size);
  char **line = braid_calloc((size_t)n + 1, sizeof *line);
  if (line) {
    *out = (struct cli_labels){n, line};
    split_lines((const char *)data, size, out);
  }
  braid_free(data);
  return CLI_DONE;
}

void cli_labels_free(struct cli_labels *labels) {
  for (int i = 0; i < labels->n; i++) braid_free(labels->line[i]);
  braid_free(labels->line);
  *labels = (struct cli_labels){0};
}

/* --------------------------------------------------------------------------------------------- k largest */

enum { TOP_MAX = 1000 };

/* Keeps best[0..*kept) sorted by score, first class first among equals. Not-a-numbers never enter. */
static void insert(const float *score, int class, int *best, int *kept, int k) {
  int at = *kept;
  if (!(score[class] == score[class])) return;
  while (at > 0 && score[best[at - 1]] < score[class]) at--;
  if (at >= k) return;
  int last = *kept < k ? (*kept)++ : k - 1;
  memmove(best + at + 1, best + at, (size_t)(last - at) * sizeof *best);
  best[at] = class;
}

static json_t *entry(int class, float score, const struct cli_labels *labels) {
  const char *label = class < labels->n && labels->line[class] ? labels->line[class] : "";
  return json_pack("{s:i, s:s, s:f}", "class", class, "label", label, "score", (double)score);
}

/* Scores are what one image has along a single axis: [N,K], [N,K,1,1]. */
static int classes_of(const struct braid_tensor *t) {
  if (t->dtype != BRAID_F32 || t->shape.rank < 2 || t->shape.dim[0] < 1) return 0;
  for (int i = 2; i < t->shape.rank; i++)
    if (t->shape.dim[i] != 1) return 0;
  return t->shape.dim[1];
}

json_t *cli_top(const struct braid_tensor *output, int image, int k, const struct cli_labels *labels) {
  json_t *list = json_array();
  int n = classes_of(output), best[TOP_MAX], kept = 0;
  if (k > TOP_MAX) k = TOP_MAX;
  if (n == 0 || k < 1) return list;
  const float *score = (const float *)output->data + (size_t)image * (size_t)n;
  for (int c = 0; c < n; c++) insert(score, c, best, &kept, k);
  for (int i = 0; i < kept; i++) json_array_append_new(list, entry(best[i], score[best[i]], labels));
  return list;
}

void cli_print_top(json_t *top, FILE *out) {
  size_t i;
  json_t *row;
  static const char *const heading[] = {"class", "score", "label"};
  struct cli_table *t = cli_table_new(3, heading);
  json_array_foreach(top, i, row) {
    cli_table_cell(t, "%d", (int)json_integer_value(json_object_get(row, "class")));
    cli_table_cell(t, "%.4f", json_real_value(json_object_get(row, "score")));
    cli_table_cell(t, "%s", json_string_value(json_object_get(row, "label")));
  }
  cli_table_print(t, out);
}
