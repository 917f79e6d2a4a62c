/* SPDX-License-Identifier: Apache-2.0
 * The throughput of a mix of cuts as a linear program, solved by column generation [Dantzig & Wolfe 1960; Gilmore &
 * Gomory 1961].
 *
 *   max sum_p x_p   s.t.  sum_p x_p Work_R(p) <= capacity_R  for R = edge, uplink, cloud, downlink;  x >= 0
 *
 * x_p: frames a ns that follow cut p. There are exponentially many cuts, so a restricted program knows a few, and its
 * duals y price the others: the cut with the least sum y_R Work_R(p) is a minimum cut, and improves the mix if that sum
 * is below 1. Cuts are priced in integers m ~ y, so the minimum mu is exact, and m / mu is feasible in the dual:
 * whatever the rounding and however early we stop, no mix of any cuts makes more than sum m_R capacity_R / mu frames a
 * ns. That value is the certificate; single cuts are mixes too.
 *
 * What it is a bound for: frames that each follow some cut of the family (closed, or with returns), charged what
 * `costs` says. Slicing only adds overhead per task and message, so costs of whole nodes also bound sliced plans.
 *
 * GLPK is deterministic; its environment is per thread and stays for the next call. */
#include "mix_lp.h"

#include <glpk.h>
#include <string.h>

#define TOLERANCE 1e-7   /* relative distance of mix and bound that ends the search */
#define FINEST (1 << 28) /* prices are integers up to this, or as large as the sums allow */
#define PENALTY_STEPS 10

struct master {
  const struct mix_problem *p;
  struct cutter *cutter;
  glp_prob *lp;
  bool owns_glpk; /* GLPK keeps an environment a thread: this solve made the thread's, and frees it */
  int term_out;   /* how talkative the thread's GLPK was */
  double unit_ns; /* the LP's times, so that its numbers are around 1 */
  double finest;
  int n_columns, n;
  uint8_t *sites; /* [MIX_COLUMNS][n] */
  uint8_t *site;  /* scratch */
  int64_t *edge;  /* [n] scratch: edge times with a penalty */
  struct mix_solution *best;
};

/* ---------------------------------------------------------------------------------------------- the restricted LP */

static void silent_options(glp_smcp *options) {
  glp_init_smcp(options);
  options->msg_lev = GLP_MSG_OFF;
  options->tol_bnd = options->tol_dj = 1e-9;
}

static void make_rows(struct master *m) {
  m->owns_glpk = glp_init_env() == 0;
  m->term_out = glp_term_out(GLP_OFF);
  m->lp = glp_create_prob();
  glp_set_obj_dir(m->lp, GLP_MAX);
  glp_add_rows(m->lp, 4);
  for (int r = 0; r < 4; r++) glp_set_row_bnds(m->lp, r + 1, GLP_UP, 0, (double)m->p->capacity[r]);
}

/* Threads that end would leak their environment; a caller that uses GLPK itself gets its own back as it was. */
static void end_lp(struct master *m) {
  if (!m->lp) return;
  glp_delete_prob(m->lp);
  glp_term_out(m->term_out);
  if (m->owns_glpk) glp_free_env();
}

static bool known(const struct master *m, const uint8_t *site) {
  for (int i = 0; i < m->n_columns; i++)
    if (memcmp(m->sites + (size_t)i * (size_t)m->n, site, (size_t)m->n) == 0) return true;
  return false;
}

static void add_column(struct master *m, const uint8_t *site) {
  int64_t work[4];
  int row[5], rows = 0;
  double value[5];
  cut_work(m->p->graph, m->p->costs, site, work);
  for (int r = 0; r < 4; r++) {
    if (work[r] <= 0) continue;
    row[++rows] = r + 1;
    value[rows] = (double)work[r] / m->unit_ns;
  }
  int column = glp_add_cols(m->lp, 1);
  glp_set_obj_coef(m->lp, column, 1);
  glp_set_col_bnds(m->lp, column, GLP_LO, 0, 0);
  glp_set_mat_col(m->lp, column, rows, row, value);
  memcpy(m->sites + (size_t)m->n_columns++ * (size_t)m->n, site, (size_t)m->n);
}

/* The duals, where the basis of the last round is still feasible: primal simplex goes on from it. */
static bool solve(struct master *m, double price[4]) {
  glp_smcp options;
  silent_options(&options);
  if (glp_simplex(m->lp, &options) != 0 || glp_get_status(m->lp) != GLP_OPT) return false;
  double rate = glp_get_obj_val(m->lp);
  if (!(rate > 0)) return false;
  m->best->period_ns = m->unit_ns / rate;
  for (int r = 0; r < 4; r++) {
    price[r] = glp_get_row_dual(m->lp, r + 1);
    if (price[r] < 0) price[r] = 0;
  }
  return true;
}

/* ----------------------------------------------------------------------------------------------------- pricing */

static struct cut_weights to_integers(const struct master *m, const double price[4], int64_t out[4]) {
  double most = 0;
  for (int r = 0; r < 4; r++)
    if (price[r] > most) most = price[r];
  for (int r = 0; r < 4; r++) out[r] = most > 0 ? (int64_t)(m->finest * (price[r] / most)) : 1;
  return (struct cut_weights){out[BRAID_RES_EDGE], out[BRAID_RES_UP], out[BRAID_RES_CLOUD], out[BRAID_RES_DOWN]};
}

/* Rounded down by more than the arithmetic can have rounded up. */
static void note_bound(struct master *m, int64_t value, const int64_t price[4]) {
  double divisor = 0;
  for (int r = 0; r < 4; r++) divisor += (double)price[r] * (double)m->p->capacity[r];
  int64_t bound = (int64_t)((double)value / divisor * (1 - 1e-12));
  if (bound < m->best->bound_ns || (bound == 0 && m->best->rounds > 1)) return;
  m->best->bound_ns = bound;
  memcpy(m->best->price, price, sizeof m->best->price);
}

/* The cheapest cut at these prices; it bounds every mix. False: every cut breaks a constraint. */
static bool price_cut(struct master *m, const double price[4]) {
  int64_t integer[4];
  struct cut_weights weights = to_integers(m, price, integer);
  int64_t value = cutter_run(m->cutter, m->p->costs, weights, m->site);
  m->best->rounds++;
  if (value < COST_NEVER) note_bound(m, value, integer);
  return value < COST_NEVER;
}

static bool admitted(const struct master *m) {
  return !m->p->admits || m->p->admits(m->p->ctx, m->site);
}

/* The cheapest cut was refused: ask for ones with less on the edge, or a shorter journey, until one is admitted. */
static bool price_with_penalty(struct master *m, const double price[4]) {
  struct cut_costs costs = *m->p->costs;
  double mean = (price[0] + price[1] + price[2] + price[3]) / 4, factor = 1.0 / 64;
  costs.edge = m->edge;
  for (int step = 0; step < PENALTY_STEPS; step++, factor *= 4) {
    double skewed[4];
    int64_t integer[4];
    for (int r = 0; r < 4; r++) skewed[r] = price[r] + mean * (factor < 64 ? factor : 64);
    for (int v = 0; v < m->n; v++) {
      double penalty = m->p->penalty_ns ? factor * (double)m->p->penalty_ns[v] : 0;
      m->edge[v] = m->p->costs->edge[v] + (int64_t)penalty;
    }
    struct cut_weights weights = to_integers(m, skewed, integer);
    (void)cutter_run(m->cutter, &costs, weights, m->site);
    if (admitted(m)) return true;
  }
  return false;
}

/* A new admitted cut for the program; false: there is none to be found. */
static bool next_cut(struct master *m, const double price[4]) {
  if (!price_cut(m, price)) return false;
  if (!admitted(m) && !price_with_penalty(m, price)) return false;
  return !known(m, m->site);
}

/* ------------------------------------------------------------------------------------------------------ rounds */

static void offer(struct master *m) {
  if (m->n_columns < MIX_COLUMNS && admitted(m) && !known(m, m->site)) add_column(m, m->site);
}

/* The two ends, and the cut at equal prices. */
static void begin(struct master *m) {
  const double equal[4] = {1.0 / (double)m->p->capacity[0], 1.0 / (double)m->p->capacity[1],
                           1.0 / (double)m->p->capacity[2], 1.0 / (double)m->p->capacity[3]};
  const double edge_dear[4] = {1, 0, 0, 0}, edge_free[4] = {0, 1, 1, 1};
  const double *const start[] = {equal, edge_dear, edge_free};
  for (size_t i = 0; i < sizeof start / sizeof *start; i++) {
    if (!price_cut(m, start[i])) return;
    if (i == 0) {
      m->unit_ns = (double)(m->best->bound_ns > 0 ? m->best->bound_ns : 1);
      if (!admitted(m)) (void)price_with_penalty(m, start[i]);
    }
    offer(m);
  }
}

static bool tight(const struct mix_solution *s) {
  return s->period_ns <= (double)s->bound_ns * (1 + TOLERANCE) + 1;
}

static void generate(struct master *m) {
  double price[4];
  begin(m);
  while (m->n_columns > 0 && solve(m, price)) {
    if (tight(m->best) || m->n_columns == MIX_COLUMNS || !next_cut(m, price)) break;
    add_column(m, m->site);
  }
}

/* Basic columns, heaviest first. */
static enum braid_status take_parts(struct master *m) {
  struct mix_solution *s = m->best;
  double sum = 0;
  for (int i = 0; i < m->n_columns; i++) {
    double x = glp_get_col_prim(m->lp, i + 1);
    if (x <= 1e-12) continue;
    if (s->n_parts == MIX_PARTS) break; /* a basic solution has no more */
    int at = s->n_parts++;
    for (; at > 0 && s->weight[at - 1] < x; at--) {
      s->weight[at] = s->weight[at - 1];
      s->site[at] = s->site[at - 1];
    }
    s->weight[at] = x;
    s->site[at] = m->sites + (size_t)i * (size_t)m->n;
    sum += x;
  }
  if (s->n_parts == 0) return braid_fail(BRAID_ENOTFOUND, "no cut found that keeps the goal's constraints");
  for (int i = 0; i < s->n_parts; i++) s->weight[i] /= sum;
  return BRAID_OK;
}

/* The finest integer prices whose sums still fit the cutter. */
static double finest_price(const struct mix_problem *p, int n) {
  double total = 1;
  for (int v = 0; v < n; v++) {
    total += (double)p->costs->edge[v] + (double)p->costs->cloud[v] + (double)p->costs->down[v];
    if (p->costs->up[v] != COST_NEVER) total += (double)p->costs->up[v];
    if (p->penalty_ns) total += 8192.0 * (double)p->penalty_ns[v]; /* 4^9 / 64 < 8192 */
  }
  double finest = (double)(COST_NEVER / 8) / total;
  return finest > FINEST ? FINEST : finest;
}

static enum braid_status run(struct master *m) {
  BRAID_TRY(cutter_create(m->p->graph, m->p->closed, &m->cutter));
  m->finest = finest_price(m->p, m->n);
  make_rows(m);
  generate(m);
  return take_parts(m);
}

enum braid_status mix_lp_solve(const struct mix_problem *problem, struct mix_solution **out) {
  struct master m = {.p = problem, .n = braid_graph_size(problem->graph)};
  size_t n = (size_t)m.n;
  m.best = braid_calloc(1, sizeof *m.best);
  m.sites = braid_malloc((MIX_COLUMNS + 1) * n);
  m.edge = braid_malloc(n * sizeof *m.edge);
  enum braid_status status = BRAID_ENOMEM;
  if (m.best && m.sites && m.edge) {
    m.site = m.sites + MIX_COLUMNS * n;
    m.best->sites = m.sites;
    status = run(&m);
  } else {
    braid_free(m.sites);
    status = braid_fail(BRAID_ENOMEM, "mixing cuts of %d nodes", m.n);
  }
  end_lp(&m);
  cutter_destroy(&m.cutter);
  braid_free(m.edge);
  if (status != BRAID_OK && status != BRAID_ENOTFOUND) mix_lp_free(&m.best);
  *out = m.best;
  return status;
}

void mix_lp_free(struct mix_solution **solution) {
  if (!solution || !*solution) return;
  braid_free((*solution)->sites);
  braid_free(*solution);
  *solution = NULL;
}

enum braid_status mix_price_memory(const struct stages *st, int64_t **out) {
  const size_t most = 1000000000;
  *out = NULL;
  if (st->goal->edge_memory == 0) return BRAID_OK;
  *out = braid_malloc((size_t)st->n * sizeof **out);
  if (!*out) return braid_fail(BRAID_ENOMEM, "mixing cuts of %d nodes", st->n);
  for (int v = 0; v < st->n; v++) {
    size_t price = st->memory[v] / 64;
    (*out)[v] = (int64_t)(price < most ? price : most);
  }
  return BRAID_OK;
}
