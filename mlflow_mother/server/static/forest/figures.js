// Counts, days and statuses, as the lists write them.

export const STATUSES = ["pending", "done", "undecided", "unsupported", "failed"];

/** Statuses of versions that could not be analysed: none of them has a verdict but "undecided". */
export const TROUBLES = ["failed", "pending", "unsupported"];

/** @param {number} count */
export function number(count) {
  return count.toLocaleString("en");
}

/** The day of a moment, in the reader's own spelling. @param {number} seconds */
export function day(seconds) {
  return new Date(seconds * 1000).toLocaleDateString(undefined, { dateStyle: "medium" });
}
