/* SPDX-License-Identifier: Apache-2.0 */
#include "grid_report.h"

#include <math.h>
#include <string.h>

enum { LOST_SHOWN = 20 };
static const char *const objective_name[] = {[BRAID_LATENCY] = "latency", [BRAID_THROUGHPUT] = "throughput"};

struct page {
  const struct grid_report *r;
  const struct grid_summary *s;
  bool markdown;
  FILE *out;
};

/* ------------------------------------------------------------------------------------------------- elements */

static void put_heading(const struct page *p, const char *text) {
  fprintf(p->out, p->markdown ? "\n### %s\n\n" : "\n%s\n", text);
}

static void put_table(const struct page *p, struct cli_table *table) {
  if (p->markdown)
    cli_table_print_markdown(table, p->out);
  else
    cli_table_print(table, p->out);
}

static const char *cell_text(const struct page *p, const struct grid_cell *c, char buf[200]) {
  return grid_cell_text(c, p->r->names.name[c->net], buf, 200);
}

static void put_extreme(const struct page *p, const char *what, const struct grid_extreme *e) {
  char text[200];
  fprintf(p->out, "%s%s %.3f: %s\n", p->markdown ? "- " : "  ", what, e->ratio, cell_text(p, &e->cell, text));
}

/* --------------------------------------------------------------------------------------------------- axes */

static void put_axis(const struct page *p, const char *what, const struct grid_axis *axis, const char *unit) {
  fprintf(p->out, "%s%s", p->markdown ? "- " : "  ", what);
  for (int i = 0; i < axis->n; i++) fprintf(p->out, "%s%g", i ? ", " : " ", axis->at[i]);
  fprintf(p->out, "%s\n", unit);
}

static void put_axes(const struct page *p) {
  const struct grid_axes *a = p->s->axes;
  fprintf(p->out, "%lld cells%s: %d networks, edge %s\n", (long long)p->s->cells,
          p->s->cells < p->r->asked ? " (INCOMPLETE)" : "", p->s->n_nets, p->r->settings);
  fprintf(p->out, "slices: each policy's own choice%s\n", p->r->asks > 1 ? ", and 8 of every node" : "");
  if (p->markdown) fputc('\n', p->out);
  put_axis(p, "rates", &a->mbit, " Mbit/s");
  put_axis(p, "edge / cloud", &a->ratio, "");
  put_axis(p, "cloud load", &a->load, "");
  put_axis(p, "round trips", &a->rtt_ms, " ms");
  fprintf(p->out, "%sinput %s\n", p->markdown ? "- " : "  ",
          a->private_input.n == 2      ? "may leave, and private"
          : a->private_input.at[0] > 0 ? "private"
                                       : "may leave");
}

/* -------------------------------------------------------------------------------------------------- groups */

static struct cli_table *group_table(const char *first) {
  const char *const heading[] = {first,        "cells", "lost", "best other/braid", "worst", "best",
                                 "dads/braid", "worst", "best", "mean gap/%"};
  return cli_table_new(CLI_COUNT_OF(heading), heading);
}

static void put_comparison(struct cli_table *table, const struct grid_comparison *c) {
  const double value[] = {grid_mean(c), c->worst.ratio, c->best.ratio};
  for (int i = 0; i < 3; i++)
    if (c->n > 0)
      cli_table_cell(table, "%.3f", value[i]);
    else
      cli_table_cell(table, "%s", "");
}

static void put_group(struct cli_table *table, const struct grid_group *g) {
  cli_table_cell(table, "%lld", (long long)g->cells);
  cli_table_cell(table, "%lld", (long long)g->lost);
  put_comparison(table, &g->others);
  put_comparison(table, &g->dads);
  cli_table_cell(table, "%.2f", g->found > 0 ? 100 * g->gap_sum / (double)g->found : 0);
}

static void put_groups(const struct page *p) {
  static const char *const input[] = {"input may leave", "private input"};
  struct cli_table *table = group_table("objective");
  put_heading(p, "braid against the best of all others, and dads (ratios of values; above 1: braid is better)");
  for (int k = 0; k < 2; k++) {
    if (p->s->all[k].cells == 0) continue;
    cli_table_cell(table, "%s", objective_name[k]);
    put_group(table, &p->s->all[k]);
    for (int i = 0; i < 2; i++) {
      if (p->s->by_private[k][i].cells == 0) continue;
      cli_table_cell(table, "%s, %s", objective_name[k], input[i]);
      put_group(table, &p->s->by_private[k][i]);
    }
  }
  put_table(p, table);
}

static void put_extremes(const struct page *p) {
  if (p->markdown) fputc('\n', p->out);
  for (int k = 0; k < 2; k++) {
    const struct grid_group *g = &p->s->all[k];
    if (g->others.n > 0) put_extreme(p, "best cell against the best other,", &g->others.best);
    if (g->others.n > 0) put_extreme(p, "worst cell against the best other,", &g->others.worst);
    if (g->dads.n > 0) put_extreme(p, "best cell against dads,", &g->dads.best);
    if (g->dads.n > 0) put_extreme(p, "worst cell against dads,", &g->dads.worst);
  }
}

static void put_nets(const struct page *p) {
  for (int k = 0; k < 2; k++) {
    char heading[64];
    struct cli_table *table = group_table("network");
    snprintf(heading, sizeof heading, "By network, %s", objective_name[k]);
    put_heading(p, heading);
    for (int i = 0; i < p->s->n_nets; i++) {
      const struct grid_group *g = &p->s->by_net[2 * i + k];
      if (g->cells == 0) continue;
      cli_table_cell(table, "%s", p->r->names.name[i]);
      put_group(table, g);
    }
    put_table(p, table);
  }
}

/* ------------------------------------------------------------------------------------------------- policies */

static void put_tally(struct cli_table *table, const char *name, const struct grid_tally *t) {
  struct cli_stats us = cli_stats_of(t->decide_us, (int)t->found);
  double n = (double)t->found;
  cli_table_cell(table, "%s", name);
  cli_table_cell(table, "%lld", (long long)t->found);
  cli_table_cell(table, "%lld", (long long)t->leads);
  if (t->found == 0) {
    for (int i = 0; i < 6; i++) cli_table_cell(table, "%s", "");
    return;
  }
  cli_table_cell(table, "%.3f", exp(t->log_over_best / n));
  cli_table_cell(table, "%.3f", t->worst_over_best);
  cli_table_cell(table, "%.2f", 100 * t->gap_sum / n);
  cli_table_cell(table, "%.0f", us.p50);
  cli_table_cell(table, "%.0f", us.p99);
  cli_table_cell(table, "%.0f", us.max);
}

static void put_policies(const struct page *p, int k) {
  static const char *const columns[] = {
      "policy", "plans", "best in", "mean over best", "worst over best", "mean gap/%", "decide/us p50", "p99", "max"};
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  int n = grid_policies(policy);
  struct cli_table *table = cli_table_new(CLI_COUNT_OF(columns), columns);
  char heading[64];
  if (p->s->all[k].cells > 0) {
    snprintf(heading, sizeof heading, "Policies, %s (%lld cells)", objective_name[k], (long long)p->s->all[k].cells);
    put_heading(p, heading);
    for (int i = 0; i < n; i++) put_tally(table, policy[i]->name, &p->s->tally[k][i]);
  }
  if (p->s->all[k].cells > 0)
    put_table(p, table);
  else
    cli_table_free(table);
}

/* ----------------------------------------------------------------------------------------------------- maps */

static void put_map(const struct page *p, int k) {
  const struct grid_axes *a = p->s->axes;
  char text[GRID_POINTS_MAX][24];
  const char *columns[GRID_POINTS_MAX + 1] = {"ratio / Mbit/s"};
  for (int i = 0; i < a->mbit.n; i++) {
    snprintf(text[i], sizeof text[i], "%g", a->mbit.at[i]);
    columns[i + 1] = text[i];
  }
  struct cli_table *table = cli_table_new(a->mbit.n + 1, columns);
  for (int j = 0; j < a->ratio.n; j++) {
    cli_table_cell(table, "%g", a->ratio.at[j]);
    for (int i = 0; i < a->mbit.n; i++)
      if (p->s->map[k][i][j].n > 0)
        cli_table_cell(table, "%.3f", grid_mean(&p->s->map[k][i][j]));
      else
        cli_table_cell(table, "%s", "");
  }
  put_table(p, table);
}

static void put_maps(const struct page *p) {
  for (int k = 0; k < 2; k++) {
    char heading[96];
    if (p->s->all[k].cells == 0) continue;
    snprintf(heading, sizeof heading, "Best other / braid by rate and ratio, %s (geometric means)", objective_name[k]);
    put_heading(p, heading);
    put_map(p, k);
  }
}

/* ------------------------------------------------------------------------------------------------- failures */

static const char *command_of(const struct page *p, const struct grid_cell *c, char buf[400]) {
  snprintf(buf, 400,
           "braid bench plan %s --rates %g --ratios %g --loads %g --rtts %g --private %s --objective %s --largest 0",
           p->r->path[c->net], c->mbit, c->ratio, c->load, c->rtt_ms, c->private_input ? "yes" : "no",
           objective_name[c->objective]);
  return buf;
}

static void put_failure(const struct page *p, const struct grid_lost *l) {
  const struct braid_policy *policy[GRID_POLICIES_MAX];
  char text[200], command[400];
  (void)grid_policies(policy);
  if (l->text)
    fprintf(p->out, "%s%s (%s)\n", p->markdown ? "- " : "  ", l->text, cell_text(p, &l->cell, text));
  else
    fprintf(p->out, "%s%.6f times %s (%s)\n", p->markdown ? "- " : "  ", l->ratio, policy[l->policy]->name,
            cell_text(p, &l->cell, text));
  fprintf(p->out, p->markdown ? "  `%s`\n" : "    %s\n", command_of(p, &l->cell, command));
}

static void put_failures(const struct page *p, const char *what, const struct grid_lost *list, int64_t n) {
  if (n == 0) return;
  fprintf(p->out, "\n%lld cells %s%s\n%s", (long long)n, what, n > LOST_SHOWN ? "; the first:" : ":",
          p->markdown ? "\n" : "");
  for (int64_t i = 0; i < n && i < LOST_SHOWN; i++) put_failure(p, &list[i]);
}

static void put_verdict(const struct page *p) {
  if (p->s->n_lost == 0) fprintf(p->out, "\nbraid is worse than no other policy in any cell.\n");
  if (p->s->n_wrong == 0) fprintf(p->out, "Every plan passes its checks, and none beats the bound.\n");
  put_failures(p, "in which braid is WORSE than another policy", p->s->lost, p->s->n_lost);
  put_failures(p, "with a plan that is WRONG", p->s->wrong, p->s->n_wrong);
}

/* ------------------------------------------------------------------------------------------------- the report */

static void put_growth(const struct page *p) {
  for (int k = 0; k < 2 && p->r->growth->steps > 0; k++) {
    char heading[64];
    snprintf(heading, sizeof heading, "Decision times in us as graphs grow, %s", objective_name[k]);
    put_heading(p, heading);
    put_table(p, growth_table(p->r->growth, (enum braid_objective)k));
  }
  if (p->r->growth->steps == 0) return;
  put_heading(p, "Tables built once and looked up, against dads anew");
  put_table(p, growth_tables(p->r->growth));
}

void grid_report_print(const struct grid_report *r, bool markdown, FILE *out) {
  struct page p = {r, r->summary, markdown, out};
  put_axes(&p);
  if (r->summary->cells > 0) {
    put_verdict(&p);
    put_groups(&p);
    put_extremes(&p);
    for (int k = 0; k < 2; k++) put_policies(&p, k);
    put_nets(&p);
    put_maps(&p);
  }
  put_growth(&p);
}
