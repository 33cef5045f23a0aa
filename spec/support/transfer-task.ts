import type { ReceiveTask } from '../../lib/transfer/blob-order.ts'

type Task = Omit<ReceiveTask, 'line' | 'authorization'>

/** What a thread is to receive: of widgets, and where nothing else is said not durable, and given up after 5 s of silence. */
export function transferTask(given: Pick<Task, 'url' | 'root' | 'blobs'> & Partial<Task>): Task {
  return { replicableName: 'widget', idleTimeoutMs: 5000, durable: false, algorithm: 'xxh64', ...given }
}
