import type { Check } from './scene.ts'

export const died: Check = {
  name: 'died',
  promise: 'no process ends by itself',
  look: async ({ processes }) => processes.flatMap(({ name, ends }) => ends.map((end) => `${name} ${end}`)),
}
