/*
 * Apache Kafka's own Java client for tests: writes a topic by a script and reads one, so that Millrace is held against
 * the client that defines what is right.
 *
 *   TopicTool write BROKERS TOPIC               the script comes on stdin, one operation a line:
 *     producer NAME CODEC [TRANSACTIONAL_ID]    codec: none, gzip, snappy, lz4, zstd
 *     begin NAME | flush NAME | commit NAME | abort NAME
 *     send NAME PARTITION TIMESTAMP KEY VALUE   KEY, VALUE: text, 0x and hex digits, or - for null
 *     fill NAME PARTITION COUNT BYTES PREFIX    COUNT records, values PREFIX, a number, dots up to BYTES
 *   TopicTool read BROKERS TOPIC ISOLATION      prints each record: partition offset timestamp key value, tabs, hex
 */
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class TopicTool {
  private static final Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
  private static final List<Future<RecordMetadata>> sent = new ArrayList<>();

  public static void main(String[] args) throws Exception {
    switch (args[0]) {
      case "write" -> write(args[1], args[2]);
      case "read" -> read(args[1], args[2], args[3]);
      default -> throw new IllegalArgumentException("unknown command " + args[0]);
    }
  }

  private static void write(String brokers, String topic) throws Exception {
    BufferedReader script = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = script.readLine(); line != null; line = script.readLine()) {
      String[] words = line.trim().split(" ");
      if (words[0].isEmpty()) continue;
      KafkaProducer<byte[], byte[]> producer = producers.get(words[1]);
      switch (words[0]) {
        case "producer" -> producers.put(words[1], open(brokers, words[2], words.length > 3 ? words[3] : null));
        case "begin" -> producer.beginTransaction();
        case "flush" -> producer.flush();
        case "commit" -> producer.commitTransaction();
        case "abort" -> producer.abortTransaction();
        case "send" -> sent.add(producer.send(new ProducerRecord<>(topic, Integer.parseInt(words[2]),
            Long.parseLong(words[3]), bytes(words[4]), bytes(words[5]))));
        case "fill" -> {
          int size = Integer.parseInt(words[4]);
          for (int i = 0; i < Integer.parseInt(words[3]); i++) {
            String value = words[5] + i + ".";
            byte[] padded = (value + ".".repeat(Math.max(0, size - value.length()))).getBytes(StandardCharsets.UTF_8);
            sent.add(producer.send(new ProducerRecord<>(topic, Integer.parseInt(words[2]), 1000L + i, null, padded)));
          }
          producer.flush();
        }
        default -> throw new IllegalArgumentException("unknown operation " + line);
      }
    }
    for (KafkaProducer<byte[], byte[]> producer : producers.values()) producer.flush();
    for (Future<RecordMetadata> future : sent) future.get();
    for (KafkaProducer<byte[], byte[]> producer : producers.values()) producer.close();
  }

  private static KafkaProducer<byte[], byte[]> open(String brokers, String codec, String transactionalId) {
    Properties config = new Properties();
    config.put("bootstrap.servers", brokers);
    config.put("compression.type", codec);
    config.put("linger.ms", "50");
    config.put("delivery.timeout.ms", "60000");
    config.put("key.serializer", ByteArraySerializer.class.getName());
    config.put("value.serializer", ByteArraySerializer.class.getName());
    if (transactionalId != null) config.put("transactional.id", transactionalId);
    KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config);
    if (transactionalId != null) producer.initTransactions();
    return producer;
  }

  private static void read(String brokers, String topic, String isolation) {
    Properties config = new Properties();
    config.put("bootstrap.servers", brokers);
    config.put("isolation.level", isolation);
    config.put("enable.auto.commit", "false");
    config.put("key.deserializer", ByteArrayDeserializer.class.getName());
    config.put("value.deserializer", ByteArrayDeserializer.class.getName());
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config)) {
      List<TopicPartition> partitions = new ArrayList<>();
      consumer.partitionsFor(topic).forEach(info -> partitions.add(new TopicPartition(topic, info.partition())));
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (partitions.stream().anyMatch(each -> consumer.position(each) < ends.get(each))) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
          out.println(record.partition() + "\t" + record.offset() + "\t" + record.timestamp() + "\t"
              + text(record.key()) + "\t" + text(record.value()));
        }
      }
    }
    out.flush();
  }

  private static byte[] bytes(String word) {
    if (word.equals("-")) return null;
    if (word.startsWith("0x")) return HexFormat.of().parseHex(word.substring(2));
    return word.getBytes(StandardCharsets.UTF_8);
  }

  private static String text(byte[] bytes) {
    return bytes == null ? "-" : HexFormat.of().formatHex(bytes);
  }
}
