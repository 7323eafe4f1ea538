package dev.millrace.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.stream.Stream;

/**
 * Watches a run from a thread of its own, every 50 ms: the records read, and the checkpoints that came to exist.
 *
 * <p>The rate is records over time between the end of the warm-up (counted from the first record read) and the moment
 * when the last record was read. A checkpoint exists when its directory holds {@code _metadata}.
 */
final class Monitor extends Thread {
  private static final long PERIOD_MS = 50;

  private final Path checkpoints;
  private final long warmupNs;
  private final Set<Long> completed = new ConcurrentSkipListSet<>();
  private volatile boolean stopped;

  private long firstNs;
  private long warmNs;
  private long warmRecords;
  private int warmCheckpoints;
  private long lastNs;
  private long lastRecords;

  Monitor(Path checkpoints, double warmupSeconds) {
    super("monitor");
    setDaemon(true);
    this.checkpoints = checkpoints;
    this.warmupNs = (long) (warmupSeconds * 1e9);
  }

  @Override
  public void run() {
    long nextProgressNs = System.nanoTime() + 1_000_000_000L;
    while (!stopped) {
      sample();
      if (System.nanoTime() >= nextProgressNs) {
        nextProgressNs += 1_000_000_000L;
        System.out.println(
            "{\"type\":\"progress\",\"records\":" + lastRecords + ",\"checkpoints\":" + completed.size() + "}");
      }
      try {
        Thread.sleep(PERIOD_MS);
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private synchronized void sample() {
    long records = Tally.recordsRead();
    long now = System.nanoTime();
    if (records > lastRecords) {
      if (firstNs == 0) {
        firstNs = now;
      }
      lastNs = now;
      lastRecords = records;
      if (warmNs == 0 && now - firstNs >= warmupNs) {
        warmNs = now;
        warmRecords = records;
        warmCheckpoints = completed.size();
      }
    }
    findCheckpoints();
  }

  private void findCheckpoints() {
    try (Stream<Path> found = Files.walk(checkpoints, 3)) {
      found
          .filter(path -> path.getFileName().toString().equals("_metadata"))
          .map(path -> path.getParent().getFileName().toString())
          .filter(name -> name.startsWith("chk-"))
          .forEach(name -> completed.add(Long.parseLong(name.substring(4))));
    } catch (IOException | java.io.UncheckedIOException e) {
      // A checkpoint was subsumed and removed while the directory was walked: the next look sees the newer one.
    }
  }

  /** Ends the watch and gives the measurement as the inside of a JSON object. */
  synchronized String finish() {
    stopped = true;
    sample();
    boolean warm = warmNs != 0 && lastNs > warmNs;
    double seconds = (lastNs - (warm ? warmNs : firstNs)) / 1e9;
    long records = warm ? lastRecords - warmRecords : lastRecords;
    double rate = seconds > 0 ? records / seconds : 0;
    return String.format(
        java.util.Locale.ROOT,
        "\"records\":%d,\"eventsPerSecond\":%.0f,\"measuredSeconds\":%.3f,\"warmedUp\":%b,\"readSeconds\":%.3f,"
            + "\"checkpoints\":%d,\"measuredCheckpoints\":%d",
        lastRecords,
        rate,
        seconds,
        warm,
        (lastNs - firstNs) / 1e9,
        completed.size(),
        completed.size() - (warm ? warmCheckpoints : 0));
  }
}
