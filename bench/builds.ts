// Two builds of Latchkey against each other, introspecting at the same instant: whether a change in src has helped.
// Run: npm run build && cp -r dist dist-before (say) before the change, then
//   npx tsx bench/builds.ts dist-before dist [tokens] [slices]
// The second build's requests per CPU-second, for one of the first; the control is the first against itself.
import { introspectionTarget } from './introspection.ts'
import { startGenerator } from './lib/generator.ts'
import { compare } from './lib/pairs.ts'
import { openWorld, remember } from './lib/world.ts'

const [before = 'dist', after = 'dist', tokens = '20000', slices = '9'] = process.argv.slice(2)
const count = Number(tokens)
const world = await openWorld(count)
const generator = await startGenerator()
const replicas = await Promise.all(
  [after, before, before].map((folder) => world.replica({ main: `${folder}/main.js` })),
)
for (const replica of replicas) await remember(replica, world, count)
const [variant, base, baseAgain] = replicas.map((replica) => ({
  child: replica.child,
  target: introspectionTarget(replica.port, world.basic, count),
}))
const parties = { variant: variant!, base: base!, baseAgain: baseAgain! }
console.log(
  await compare(generator, parties, { slices: Number(slices), sliceMs: 1_000, warmRequests: 30_000 }),
)
await Promise.all([...replicas.map((replica) => replica.stop()), generator.end()])
await world.close()
