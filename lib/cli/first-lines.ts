/** The first lines of a list, and how many more there are. `total`: how long it is, where not all of it is at hand. */
export function firstLines<Item>(
  items: readonly Item[],
  most: number,
  line: (item: Item) => string,
  total = items.length,
): string[] {
  const more = total - most
  return [...items.slice(0, most).map(line), ...(more > 0 ? [`  and ${more} more: --json lists them`] : [])]
}
