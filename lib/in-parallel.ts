/**
 * Works items as they come, several at once. After a failure no further item is taken; it is told when all that runs has
 * ended, so nothing goes on behind the caller's back.
 */
export async function inParallel<Item>(
  items: AsyncGenerator<Item>,
  workers: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const worker = async (): Promise<void> => {
    for (let next = await items.next(); !next.done; next = await items.next()) {
      try {
        await work(next.value)
      } catch (reason) {
        await items.return(undefined)
        throw reason
      }
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: workers }, worker))
  for (const end of ended) if (end.status === 'rejected') throw end.reason
}
