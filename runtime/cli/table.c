/* SPDX-License-Identifier: Apache-2.0
 * Aligned tables and progress bars for people. */
#include "cli.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

struct cli_table {
  int columns, n, room; /* cells */
  char **cell;
};

/* Tables are small and for people: without memory for a cell it shows as empty. */
static void push(struct cli_table *t, char *text) {
  if (t->n == t->room) {
    int room = t->room ? 2 * t->room : 64;
    char **grown = braid_realloc(t->cell, (size_t)room * sizeof *grown);
    if (!grown) {
      braid_free(text);
      return;
    }
    t->cell = grown;
    t->room = room;
  }
  t->cell[t->n++] = text;
}

struct cli_table *cli_table_new(int columns, const char *const *heading) {
  struct cli_table *t = braid_calloc(1, sizeof *t);
  if (!t) return NULL;
  t->columns = columns;
  for (int i = 0; i < columns; i++) push(t, braid_strdup(heading[i]));
  return t;
}

void cli_table_cell(struct cli_table *t, const char *format, ...) {
  char text[256];
  va_list args;
  if (!t) return;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  push(t, braid_strdup(text));
}

static const char *text_of(const struct cli_table *t, int i) {
  return i < t->n && t->cell[i] ? t->cell[i] : "";
}

/* Columns, not bytes: UTF-8 continuation bytes take no room. */
static int display_width(const char *s) {
  int n = 0;
  for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
  return n;
}

static int column_width(const struct cli_table *t, int column) {
  int width = 0;
  for (int i = column; i < t->n; i += t->columns) {
    int n = display_width(text_of(t, i));
    if (n > width) width = n;
  }
  return width;
}

static bool is_number(const char *s) {
  if (*s == '-' || *s == '+') s++;
  return isdigit((unsigned char)*s) || strcmp(s, "inf") == 0 || strcmp(s, "") == 0;
}

/* A column goes right when everything under its heading is a number. */
static bool goes_right(const struct cli_table *t, int column) {
  for (int i = column + t->columns; i < t->n; i += t->columns)
    if (!is_number(text_of(t, i))) return false;
  return t->n > t->columns;
}

static void print_cell(const struct cli_table *t, int i, FILE *out) {
  int column = i % t->columns, pad = column_width(t, column) - display_width(text_of(t, i));
  bool right = goes_right(t, column), last = column == t->columns - 1;
  fprintf(out, "%*s%s%*s%s", right ? pad : 0, "", text_of(t, i), right || last ? 0 : pad, "", last ? "\n" : "  ");
}

void cli_table_print(struct cli_table *t, FILE *out) {
  if (!t) return;
  for (int i = 0; i < t->n; i++) print_cell(t, i, out);
  cli_table_free(t);
}

void cli_table_print_markdown(struct cli_table *t, FILE *out) {
  if (!t) return;
  for (int i = 0; i < t->n; i++) {
    fprintf(out, "| %s %s", text_of(t, i), i % t->columns == t->columns - 1 ? "|\n" : "");
    if (i != t->columns - 1) continue;
    for (int k = 0; k < t->columns; k++) fprintf(out, "|%s", goes_right(t, k) ? "--:" : "---");
    fprintf(out, "|\n");
  }
  cli_table_free(t);
}

void cli_table_free(struct cli_table *t) {
  if (!t) return;
  for (int i = 0; i < t->n; i++) braid_free(t->cell[i]);
  braid_free(t->cell);
  braid_free(t);
}

void cli_progress(const char *what, int done, int total) {
  if (!isatty(STDERR_FILENO) || total <= 0) return;
  int filled = (int)((int64_t)done * 30 / total);
  fprintf(stderr, "\r%-32.32s [%.*s%*s] %d/%d", what, filled, "##############################", 30 - filled, "", done,
          total);
  if (done >= total) fprintf(stderr, "\r%80s\r", "");
  fflush(stderr);
}
