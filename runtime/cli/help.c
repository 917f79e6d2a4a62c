/* SPDX-License-Identifier: Apache-2.0
 * --help and man pages, from the tables that parse. */
#include "cli.h"

#include <ctype.h>
#include <string.h>

enum { TEXT_COLUMN = 28, WIDTH = 100 };

/* Words of `text` from column `indent` on; the cursor is at `column`. */
static void wrap(FILE *out, const char *text, int indent, int column) {
  fprintf(out, "%*s", column < indent ? indent - column : 0, "");
  column = column < indent ? indent : column;
  while (*text) {
    size_t n = strcspn(text, " \n");
    bool first = column == indent;
    if (!first && column + 1 + (int)n > WIDTH) {
      fprintf(out, "\n%*s", indent, "");
      column = indent;
      first = true;
    }
    fprintf(out, "%s%.*s", first ? "" : " ", (int)n, text);
    column += (int)n + !first;
    text += n;
    if (strncmp(text, "\n\n", 2) == 0) {
      fprintf(out, "\n\n%*s", indent, "");
      column = indent;
    }
    text += strspn(text, " \n");
  }
  fputc('\n', out);
}

static void option_head(const struct cli_option *o, char *buf, size_t size) {
  char letter[8] = "    ";
  if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
  snprintf(buf, size, "  %s--%s%s%s", letter, o->name, o->argument ? " " : "", o->argument ? o->argument : "");
}

static void option_text(const struct cli_option *o, char *buf, size_t size) {
  const char *many = o->kind == CLI_LIST ? " (may be repeated)" : "";
  bool shown = o->fallback && *o->fallback;
  snprintf(buf, size, "%s%s%s%s%s", o->text, many, shown ? " [" : "", shown ? o->fallback : "", shown ? "]" : "");
}

static void option_help(const struct cli_option *o, FILE *out) {
  char head[96], text[512];
  option_head(o, head, sizeof head);
  option_text(o, text, sizeof text);
  int column = (int)strlen(head);
  fputs(head, out);
  if (column + 2 > TEXT_COLUMN) {
    fputc('\n', out);
    column = 0;
  }
  wrap(out, text, TEXT_COLUMN, column);
}

static const struct cli_option help_option = {"help", 'h', CLI_FLAG, 0, NULL, NULL, "print this text"};

void cli_help(const struct cli_command *c, FILE *out) {
  fprintf(out, "usage: braid %s [OPTION]...%s%s\n\n", c->name, *c->arguments ? " " : "", c->arguments);
  wrap(out, c->summary, 0, 0);
  if (c->details) {
    fputc('\n', out);
    wrap(out, c->details, 0, 0);
  }
  fputs("\noptions:\n", out);
  for (int i = 0; i < c->n_options; i++) option_help(&c->options[i], out);
  int n_log;
  const struct cli_option *log = cli_log_options(&n_log);
  for (int i = 0; i < n_log; i++) option_help(&log[i], out);
  option_help(&help_option, out);
}

void cli_help_all(FILE *out) {
  int n;
  const struct cli_command *const *command = cli_commands(&n);
  fputs("usage: braid COMMAND [OPTION]... [ARGUMENT]...\n\n"
        "Runs one deep network on an edge device and a cloud as if they were one machine.\n\ncommands:\n",
        out);
  for (int i = 0; i < n; i++) {
    int column = fprintf(out, "  %s", command[i]->name);
    wrap(out, command[i]->summary, 14, column);
  }
  fputs("\n'braid COMMAND --help' tells more; 'braid demo' shows everything at work.\n"
        "exit status: 0 done, 1 failed, 2 wrong usage, 3 bad input file or model, 4 peer or link failure, "
        "130 interrupted\n",
        out);
}

/* ----------------------------------------------------------------------------------------------- troff */

static void troff_text(FILE *out, const char *text) {
  for (bool start = true; *text; text++) {
    if (start && (*text == '.' || *text == '\'')) fputs("\\&", out);
    start = *text == '\n';
    if (strncmp(text, "\n\n", 2) == 0) {
      fputs("\n.PP", out);
      continue;
    }
    if (*text == '-' || *text == '\\') fputc('\\', out);
    fputc(*text == '\\' ? 'e' : *text, out);
  }
}

static void troff_head(FILE *out, const char *name, const char *summary) {
  fprintf(out, ".TH \"");
  for (const char *p = name; *p; p++) fputc(toupper((unsigned char)*p), out);
  fprintf(out, "\" 1 \"\" \"braid %s\" \"Braid\"\n.SH NAME\n", BRAID_VERSION);
  troff_text(out, name);
  fputs(" \\- ", out);
  troff_text(out, summary);
  fputs("\n.SH SYNOPSIS\n", out);
}

static void troff_option(FILE *out, const struct cli_option *o) {
  char text[512];
  option_text(o, text, sizeof text);
  fputs(".TP\n", out);
  if (o->letter) fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
  fputs("\\fB\\-\\-", out);
  troff_text(out, o->name);
  fputs("\\fR", out);
  if (o->argument) {
    fputs(" \\fI", out);
    troff_text(out, o->argument);
    fputs("\\fR", out);
  }
  fputc('\n', out);
  troff_text(out, text);
  fputc('\n', out);
}

static void troff_exit_status(FILE *out) {
  fputs(".SH EXIT STATUS\n0 done; 1 failed while running; 2 wrong usage; 3 bad input file or model; 4 peer or link "
        "failure "
        "that could not be bridged; 130 interrupted.\n",
        out);
}

static void man_command(const struct cli_command *c, FILE *out) {
  char name[64];
  snprintf(name, sizeof name, "braid-%s", c->name);
  troff_head(out, name, c->summary);
  fprintf(out, ".B braid %s\n[\\fIOPTION\\fR]... %s\n.SH DESCRIPTION\n", c->name, c->arguments);
  troff_text(out, c->summary);
  if (c->details) {
    fputs("\n.PP\n", out);
    troff_text(out, c->details);
  }
  fputs("\n.SH OPTIONS\n", out);
  for (int i = 0; i < c->n_options; i++) troff_option(out, &c->options[i]);
  int n_log;
  const struct cli_option *log = cli_log_options(&n_log);
  for (int i = 0; i < n_log; i++) troff_option(out, &log[i]);
  troff_option(out, &help_option);
  troff_exit_status(out);
  fputs(".SH SEE ALSO\n.BR braid (1)\n", out);
}

static void man_all(FILE *out) {
  int n;
  const struct cli_command *const *command = cli_commands(&n);
  troff_head(out, "braid", "runs one deep network on an edge device and a cloud");
  fputs(".B braid\n\\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...\n.SH COMMANDS\n", out);
  for (int i = 0; i < n; i++) {
    fprintf(out, ".TP\n.BR braid\\-%s (1)\n", command[i]->name);
    troff_text(out, command[i]->summary);
    fputc('\n', out);
  }
  troff_exit_status(out);
}

void cli_man(const struct cli_command *command, FILE *out) {
  if (command)
    man_command(command, out);
  else
    man_all(out);
}
