package dev.millrace.bench;

import java.util.HashMap;
import java.util.Map;

/** What a run is told on its command line, as {@code --name value} pairs. */
record Options(
    String job,
    String api,
    String brokers,
    String topic,
    int parallelism,
    double warmupSeconds,
    double maxSeconds,
    long checkpointMs,
    String checkpointDirectory,
    String rowsDirectory,
    int maxPollRecords,
    String variant) {

  static Options parse(String[] arguments) {
    Map<String, String> given = new HashMap<>();
    for (int i = 0; i + 1 < arguments.length; i += 2) {
      if (!arguments[i].startsWith("--")) {
        throw new IllegalArgumentException("expected --name value, got " + arguments[i]);
      }
      given.put(arguments[i].substring(2), arguments[i + 1]);
    }
    return new Options(
        required(given, "job"),
        given.getOrDefault("api", "datastream"),
        required(given, "brokers"),
        required(given, "topic"),
        Integer.parseInt(given.getOrDefault("parallelism", "2")),
        Double.parseDouble(given.getOrDefault("warmup-seconds", "10")),
        Double.parseDouble(given.getOrDefault("max-seconds", "0")),
        Long.parseLong(given.getOrDefault("checkpoint-ms", "1000")),
        required(given, "checkpoints"),
        given.get("rows"),
        Integer.parseInt(given.getOrDefault("max-poll-records", "5000")),
        given.getOrDefault("variant", ""));
  }

  private static String required(Map<String, String> given, String name) {
    String value = given.get(name);
    if (value == null) {
      throw new IllegalArgumentException("--" + name + " is missing");
    }
    return value;
  }
}
