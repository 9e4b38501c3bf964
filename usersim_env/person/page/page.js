// @ts-check
/** Where the participant's page starts: the welcome, or a session. */

import { Session } from "./session.js";
import { welcome } from "./welcome.js";

if (location.pathname.startsWith("/s/")) new Session().connect();
else welcome();
