/* SPDX-License-Identifier: Apache-2.0
 * Reads a command line by a command's table. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------- near misses */

enum { WORD_MAX = 40 };

/* Levenshtein distance, one row at a time. */
static int distance(const char *a, const char *b) {
  int row[WORD_MAX + 1], n = (int)strlen(b);
  if (n > WORD_MAX || strlen(a) > WORD_MAX) return WORD_MAX;
  for (int j = 0; j <= n; j++) row[j] = j;
  for (int i = 1; a[i - 1]; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= n; j++) {
      int change = diagonal + (a[i - 1] != b[j - 1]), drop = row[j] + 1, insert = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = change < drop ? change : drop;
      if (insert < row[j]) row[j] = insert;
    }
  }
  return row[n];
}

const char *cli_nearest(const char *word, const char *const *known, int n) {
  const char *best = NULL;
  int least = (int)strlen(word) / 3 + 2; /* a third of the letters may be wrong */
  for (int i = 0; i < n; i++) {
    int d = distance(word, known[i]);
    if (strlen(word) >= 3 && strncmp(word, known[i], strlen(word)) == 0) d = 1; /* the beginning of it */
    if (d < least) {
      least = d;
      best = known[i];
    }
  }
  return best;
}

static int unknown_option(const struct cli_command *c, const char *name) {
  const char *known[64] = {"help"};
  int n = 1;
  int n_log;
  const struct cli_option *log = cli_log_options(&n_log);
  for (int i = 0; i < n_log; i++) known[n++] = log[i].name;
  for (int i = 0; i < c->n_options && n < 64; i++) known[n++] = c->options[i].name;
  const char *near = cli_nearest(name, known, n);
  if (near) return cli_usage("%s: unknown option '--%s'; did you mean '--%s'?", c->name, name, near);
  return cli_usage("%s: unknown option '--%s' ('braid %s --help' lists them)", c->name, name, c->name);
}

/* -------------------------------------------------------------------------------------------- values */

static enum braid_status parse_int(const char *text, int least, int *out) {
  char *end;
  errno = 0;
  long v = strtol(text, &end, 10);
  if (end == text || *end != '\0' || errno || v < least || v > INT_MAX)
    return braid_fail(BRAID_EINVAL, "'%s' is not a whole number of at least %d", text, least);
  *out = (int)v;
  return BRAID_OK;
}

static enum braid_status parse_real(const char *text, bool zero, double *out) {
  char *end;
  double v = strtod(text, &end);
  if (end == text || *end != '\0' || !isfinite(v) || v < 0 || (!zero && !(v > 0)))
    return braid_fail(BRAID_EINVAL, "'%s' is not %s", text, zero ? "zero or a number above it" : "a number above zero");
  *out = v;
  return BRAID_OK;
}

static enum braid_status append(const char *text, struct cli_list *list) {
  if (list->n == CLI_LIST_MAX) return braid_fail(BRAID_EINVAL, "given more than %d times", CLI_LIST_MAX);
  list->item[list->n++] = text;
  return BRAID_OK;
}

static enum braid_status set_value(const struct cli_option *o, const char *text, void *values) {
  void *at = (char *)values + o->offset;
  switch (o->kind) {
  case CLI_FLAG:
    *(bool *)at = true;
    return BRAID_OK;
  case CLI_INT:
    return parse_int(text, 0, at);
  case CLI_COUNT:
    return parse_int(text, 1, at);
  case CLI_REAL:
    return parse_real(text, false, at);
  case CLI_REAL0:
    return parse_real(text, true, at);
  case CLI_TEXT:
    *(const char **)at = text;
    return BRAID_OK;
  case CLI_LIST:
    return append(text, at);
  case CLI_TIME:
    return braid_parse_duration_ns(text, at);
  case CLI_RATE:
    return braid_parse_rate(text, at);
  case CLI_SIZE:
    return braid_parse_size(text, at);
  }
  return BRAID_OK;
}

static void set_defaults(const struct cli_command *c, void *values) {
  memset(values, 0, CLI_OPTIONS_BYTES);
  for (int i = 0; i < c->n_options; i++)
    if (c->options[i].fallback && set_value(&c->options[i], c->options[i].fallback, values) != BRAID_OK) abort();
}

/* -------------------------------------------------------------------------------------------- one option */

struct cursor {
  char **argv;
  int argc, at;
};

static const struct cli_option *find_name(const struct cli_option *o, int n_options, const char *name, size_t n) {
  for (int i = 0; i < n_options; i++)
    if (strlen(o[i].name) == n && strncmp(o[i].name, name, n) == 0) return &o[i];
  return NULL;
}

/* "--name" or "--name=value" without the dashes; *value is NULL where there is none. *is_log: it is one of those that
 * every command takes. */
static const struct cli_option *find_long(const struct cli_command *c, const char *text, const char **value,
                                          bool *is_log) {
  size_t n = strcspn(text, "=");
  int n_log;
  const struct cli_option *log = cli_log_options(&n_log), *o = find_name(c->options, c->n_options, text, n);
  *value = text[n] == '=' ? text + n + 1 : NULL;
  *is_log = !o;
  return o ? o : find_name(log, n_log, text, n);
}

static const struct cli_option *find_letter(const struct cli_command *c, const char *text, const char **value) {
  *value = text[1] ? text + 1 : NULL;
  for (int i = 0; i < c->n_options; i++)
    if (c->options[i].letter && c->options[i].letter == text[0]) return &c->options[i];
  return NULL;
}

static int read_option(const struct cli_command *c, struct cursor *line, void *values) {
  const char *word = line->argv[line->at++], *value;
  bool is_long = word[1] == '-', is_log = false;
  const struct cli_option *o = is_long ? find_long(c, word + 2, &value, &is_log) : find_letter(c, word + 1, &value);
  if (!o) {
    char name[WORD_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(word + (is_long ? 2 : 1), "="), word + (is_long ? 2 : 1));
    return unknown_option(c, name);
  }
  if (o->kind == CLI_FLAG) {
    if (value) return cli_usage("%s: --%s takes no value", c->name, o->name);
  } else if (!value) {
    if (line->at == line->argc) return cli_usage("%s: --%s needs a value (%s)", c->name, o->name, o->argument);
    value = line->argv[line->at++];
  }
  if (is_log) return cli_log_option(o, value);
  if (set_value(o, value, values) != BRAID_OK) return cli_usage("%s: --%s: %s", c->name, o->name, braid_error());
  return CLI_DONE;
}

static int check_count(const struct cli_command *c, int n) {
  if (n < c->min_args) return cli_usage("%s: missing argument; usage: braid %s %s", c->name, c->name, c->arguments);
  if (c->max_args >= 0 && n > c->max_args)
    return cli_usage("%s: too many arguments; usage: braid %s %s", c->name, c->name, c->arguments);
  return CLI_DONE;
}

int cli_parse(const struct cli_command *c, int argc, char **argv, void *values, char **args, int *n_args, bool *help) {
  struct cursor line = {argv, argc, 0};
  bool only_arguments = false;
  set_defaults(c, values);
  *n_args = 0;
  *help = false;
  while (line.at < argc) {
    const char *word = argv[line.at];
    bool option = !only_arguments && word[0] == '-' && word[1] != '\0';
    if (option && strcmp(word, "--") == 0) {
      only_arguments = true;
      line.at++;
    } else if (option && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
      *help = true;
      return CLI_DONE;
    } else if (option) {
      int exit = read_option(c, &line, values);
      if (exit != CLI_DONE) return exit;
    } else {
      args[(*n_args)++] = argv[line.at++];
    }
  }
  return check_count(c, *n_args);
}
