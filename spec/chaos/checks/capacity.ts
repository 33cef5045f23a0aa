import type { Check } from './scene.ts'

export const capacity: Check = {
  name: 'capacity',
  promise: 'a site never has more transfers open than its capacity',
  look: async ({ transfers: { capacity, mostOpen } }) =>
    mostOpen > capacity ? [`${mostOpen} transfers were open at once; the capacity is ${capacity}`] : [],
}
