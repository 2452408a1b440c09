/** How fast an answer comes, by the clock of this page. */

import { plural, seconds } from "./format.js";

export class Pace {
  constructor() {
    this.startedAt = performance.now();
    this.firstAt = null;
    this.lastAt = null;
    this.count = 0;
  }

  /** Some tokens have come. */
  note(count = 1) {
    this.lastAt = performance.now();
    this.firstAt ??= this.lastAt;
    this.count += count;
  }

  get tokensPerSecond() {
    return this.count > 1 && this.lastAt > this.firstAt
      ? ((this.count - 1) * 1000) / (this.lastAt - this.firstAt)
      : null;
  }

  describe() {
    if (this.firstAt === null) return "";
    const speed = this.tokensPerSecond;
    return [
      plural(this.count, "token"),
      speed !== null && `${speed.toFixed(1)} tokens/s`,
      `first after ${seconds((this.firstAt - this.startedAt) / 1000)}`,
    ]
      .filter(Boolean)
      .join(" · ");
  }
}
