/** What the programs of members and the command `geo` are made of: loaded, and compiled by that, and nothing else. */
import '../../fixtures/widget-app/app.ts'
import '../../fixtures/widget-app/site-parts.ts'
import '../../lib/cli/program.ts'
import '../../lib/cli/surroundings.ts'
import '../../lib/geo.ts'
import '../../lib/index.ts'
import './wall-clock.ts'
