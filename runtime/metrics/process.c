/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double cpu_seconds(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double resident_bytes(void) {
  long all, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (!file) return 0;
  if (fscanf(file, "%ld %ld", &all, &resident) != 2) resident = 0;
  fclose(file);
  return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static int open_descriptors(void) {
  int n = -3; /* ".", "..", and the one that reads them */
  DIR *dir = opendir("/proc/self/fd");
  if (!dir) return 0;
  while (readdir(dir)) n++;
  closedir(dir);
  return n;
}

/* Field 22 of stat, in ticks since boot; the name in field 2 may hold anything but ends with the last ')'. */
static double start_seconds(void) {
  unsigned long long ticks = 0;
  struct timespec wall, boot;
  FILE *file = fopen("/proc/self/stat", "r");
  if (!file) return 0;
  int got = fscanf(
      file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks);
  fclose(file);
  clock_gettime(CLOCK_REALTIME, &wall);
  clock_gettime(CLOCK_BOOTTIME, &boot);
  if (got != 1) return 0;
  return (double)(wall.tv_sec - boot.tv_sec) + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void metrics_process(struct metrics_page *page) {
  metrics_value(page, "process_cpu_seconds_total", METRICS_COUNTER, "User and system CPU time.", cpu_seconds());
  metrics_value(page, "process_resident_memory_bytes", METRICS_GAUGE, "Resident memory.", resident_bytes());
  metrics_value(page, "process_open_fds", METRICS_GAUGE, "Open file descriptors.", open_descriptors());
  metrics_value(page, "process_start_time_seconds", METRICS_GAUGE, "When the process started, Unix time.",
                start_seconds());
  metrics_family(page, "braid_build_info", METRICS_GAUGE, "What was built; always 1.");
  metrics_sample(page, "version=\"" BRAID_VERSION "\"", 1);
}
