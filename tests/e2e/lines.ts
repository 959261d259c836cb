/** Splits text at line ends; what stands behind the last one is dropped. */
export function lines(): TransformStream<string, string> {
  let rest = "";
  return new TransformStream({
    transform(text, controller) {
      const whole = (rest + text).split("\n");
      rest = whole.pop()!;
      for (const line of whole) controller.enqueue(line);
    },
  });
}
