import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import org.apache.datasketches.frequencies.ErrorType;
import org.apache.datasketches.frequencies.ItemsSketch;
import org.apache.datasketches.hll.HllSketch;
import org.apache.datasketches.hll.TgtHllType;
import org.apache.datasketches.hll.Union;
import org.apache.datasketches.kll.KllDoublesSketch;

/**
 * Apache DataSketches by script: an operation a line on standard input, an answer a line (or several) on standard output.
 *
 *   hll P SEED N      estimate of N texts "SEED/i" at lgK P, and of the union of its two halves
 *   quantiles N       N numbers follow, a line each: lower and upper bound of each quantile of QUANTILES
 *   frequent N        N texts follow: the 100 most frequent, `text<TAB>lower<TAB>upper`, then an empty line
 */
public class SketchTool {
  static final double[] QUANTILES = {0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99};

  public static void main(String[] args) throws Exception {
    var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    var out = new StringBuilder();
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split(" ");
      int n = Integer.parseInt(words[words.length - 1]);
      switch (words[0]) {
        case "hll" -> hll(Integer.parseInt(words[1]), words[2], n, out);
        case "quantiles" -> quantiles(in, n, out);
        case "frequent" -> frequent(in, n, out);
        default -> throw new IllegalArgumentException(line);
      }
    }
    System.out.write(out.toString().getBytes(StandardCharsets.UTF_8));
    System.out.flush();
  }

  static void hll(int p, String seed, int n, StringBuilder out) {
    var whole = new HllSketch(p, TgtHllType.HLL_8);
    var left = new HllSketch(p, TgtHllType.HLL_8);
    var right = new HllSketch(p, TgtHllType.HLL_8);
    for (int i = 0; i < n; i++) {
      String text = seed + "/" + i;
      whole.update(text);
      (i % 2 == 0 ? left : right).update(text);
    }
    var union = new Union(p);
    union.update(left);
    union.update(right);
    // The composite estimator is the one that does not depend on the order of updates, as ours does not.
    out.append(whole.getCompositeEstimate()).append(' ').append(union.getCompositeEstimate()).append('\n');
  }

  static void quantiles(BufferedReader in, int n, StringBuilder out) throws Exception {
    var sketch = KllDoublesSketch.newHeapInstance(2000);
    for (int i = 0; i < n; i++) sketch.update(Double.parseDouble(in.readLine()));
    for (double q : QUANTILES) {
      out.append(sketch.getQuantileLowerBound(q)).append(' ').append(sketch.getQuantileUpperBound(q)).append(' ');
    }
    out.append('\n');
  }

  static void frequent(BufferedReader in, int n, StringBuilder out) throws Exception {
    var sketch = new ItemsSketch<String>(2048);
    for (int i = 0; i < n; i++) sketch.update(in.readLine());
    int rows = 0;
    for (var row : sketch.getFrequentItems(ErrorType.NO_FALSE_NEGATIVES)) {
      if (rows++ == 100) break;
      out.append(row.getItem()).append('\t').append(row.getLowerBound()).append('\t').append(row.getUpperBound());
      out.append('\n');
    }
    out.append('\n');
  }
}
