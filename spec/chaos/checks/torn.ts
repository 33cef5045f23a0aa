import type { Check } from './scene.ts'

export const torn: Check = {
  name: 'torn',
  promise: 'at no time does a final name stand for anything but the whole bytes that were stored under it',
  look: async (scene) => [...scene.torn],
}
