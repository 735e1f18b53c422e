/* Stands between a program and the kernel's clock: the time of day is off by as many seconds as the file says that
   WRONG_CLOCK names, a signed number of 64 bits in the machine's order, which may change at any moment. All other clocks,
   the monotonic one above all, are left alone.

   Preloaded (LD_PRELOAD) by the scenarios that need it: machines of the testbed share their host's clock, which cannot be set
   for one of them. (libfaketime 0.9.10 does not leave the monotonic clock alone: absolute sleeps fail with EINVAL.) */

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *seconds;

__attribute__((constructor)) static void find(void) {
  const char *path = getenv("WRONG_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0)
    return;
  void *mapped = mmap(0, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
  close(file);
  if (mapped != MAP_FAILED)
    seconds = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int outcome = (int)syscall(SYS_clock_gettime, clock, now);
  if (outcome == 0 && seconds && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += *seconds;
  return outcome;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec exact;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
    return -1;
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec exact;
  if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
    return -1;
  if (now)
    *now = exact.tv_sec;
  return exact.tv_sec;
}
