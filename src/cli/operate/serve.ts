// `latchkey serve`: the service itself, as `npm start` runs it.
import { local } from './local.ts'

export const serve = () =>
  local('serve', 'Run the service (the same as npm start)').action(
    async () => void (await import('../../main.ts')),
  )
