// Has tests, and the threads that what they test begins, run TypeScript as it is written: by esbuild, with a cache. tap's own
// way compiles all of src for each test file anew, which took longer than most of them.
import { register } from 'tsx/esm/api'

register()
